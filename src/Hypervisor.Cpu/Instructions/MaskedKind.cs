namespace Hypervisor.Cpu.Instructions;

/// <summary>What of a memory operand the bits of a mask register stand for.</summary>
internal enum MaskedKind
{
    /// <summary>Bit n for element n: those that are clear are not accessed.</summary>
    Elements,

    /// <summary>The operand is broadcast: accessed whole if any bit is set.</summary>
    Any,

    /// <summary>As many elements, one behind the other, as bits are set: compress and expand.</summary>
    Packed,
}
