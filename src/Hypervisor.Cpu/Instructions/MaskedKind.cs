namespace Hypervisor.Cpu.Instructions;

/// <summary>What of a memory operand the bits of a mask register stand for.</summary>
internal enum MaskedKind
{
    /// <summary>Bit n for element n: those that are clear are not accessed.</summary>
    Elements,

    /// <summary>The operand is repeated: bit n for element n modulo the number of elements in memory.</summary>
    Repeated,

    /// <summary>As many elements, one behind the other, as bits are set: compress and expand.</summary>
    Packed,
}
