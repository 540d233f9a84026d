using System;
using Hypervisor.Cpu.Decode;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>Collects the rows of <see cref="InstructionTable"/> at start-up.</summary>
internal sealed unsafe class TableBuilder
{
    // Iced 1.22 numbers its mnemonics without gaps; the last one bounds the array.
    private readonly InstructionRow[] _rows = new InstructionRow[Enum.GetValues<Mnemonic>().Length];

    /// <summary>Adds the row of <paramref name="mnemonic"/>, which must not have one yet.</summary>
    internal void Define(
        Mnemonic mnemonic,
        InstructionTraits traits,
        delegate*<LoweringContext, in Instruction, Operation*, void> lower)
    {
        Core.Check.That(_rows[(int)mnemonic].Lower == null);
        _rows[(int)mnemonic] = new InstructionRow(lower, traits);
    }

    internal InstructionRow[] ToArray() => _rows;
}
