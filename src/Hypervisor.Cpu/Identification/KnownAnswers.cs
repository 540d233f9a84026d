namespace Hypervisor.Cpu.Identification;

/// <summary>Answers of CPUID that never change, where generated code finds them.</summary>
/// <remarks>
/// Programs use CPUID to serialize, in loops. A slot has a tag, 1 minus leaf and subleaf, and four registers; the
/// tables lie one behind the other. What depends on control registers, MSRs or the mode is not noted.
/// </remarks>
internal sealed unsafe class KnownAnswers
{
    /// <summary>Bits of leaf and subleaf (in the high half) that choose a slot.</summary>
    internal const ulong SlotBits = 0x3_8000_000F;

    /// <summary>Where EAX and EBX are, from the tags.</summary>
    internal const int FirstPairAt = SlotCount * sizeof(ulong);

    /// <summary>Where ECX and EDX are.</summary>
    internal const int SecondPairAt = 2 * FirstPairAt;

    /// <summary>Size of all.</summary>
    internal const int TotalBytes = 3 * FirstPairAt;

    private const int SlotCount = 1 << 7;

    private readonly ulong* _tags;

    /// <param name="tables">Where they lie; owned by the caller.</param>
    internal KnownAnswers(byte* tables)
    {
        _tags = (ulong*)tables;
        for (int slot = 0; slot < SlotCount; slot++)
        {
            _tags[slot] = 1 - (~(ulong)slot & 1); // of an odd leaf in an even slot: matches nothing
        }
    }

    /// <summary>Whether the answer to a leaf is the same as long as the vCPU lives.</summary>
    internal static bool IsConstant(uint leaf) => leaf is not (1 or 0xD or 0x8000_0001);

    /// <summary>Notes an answer.</summary>
    internal void Note(uint leaf, uint subleaf, (uint Eax, uint Ebx, uint Ecx, uint Edx) answer)
    {
        ulong key = leaf | ((ulong)subleaf << 32);
        ulong* slot = _tags + SlotOf(leaf, subleaf);
        *slot = 1 - key;
        slot[SlotCount] = answer.Eax | ((ulong)answer.Ebx << 32);
        slot[2 * SlotCount] = answer.Ecx | ((ulong)answer.Edx << 32);
    }

    // As PEXT with SlotBits, which not every host has.
    private static uint SlotOf(uint leaf, uint subleaf) => (leaf & 0xF) | (leaf >> 31 << 4) | ((subleaf & 3) << 5);
}
