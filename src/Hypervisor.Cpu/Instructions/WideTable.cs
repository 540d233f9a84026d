using System;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>
/// The rows of EVEX encodings and of the instructions on mask registers: they follow from the decoder's tables.
/// </summary>
/// <remarks>Mnemonics are shared with VEX encodings, whose rows are in <see cref="InstructionTable"/>.</remarks>
internal static unsafe class WideTable
{
    // By encoding, made when the first is asked for: most guests have none of these.
    private static readonly InstructionRow[] s_rows = Build();

    /// <summary>Whether the row of an encoding is here.</summary>
    internal static bool Has(Code code)
        => code.Encoding() == EncodingKind.EVEX || code.Mnemonic() is >= Mnemonic.Kaddb and <= Mnemonic.Kxorw;

    /// <summary>The row of an encoding that is here.</summary>
    internal static ref readonly InstructionRow Find(Code code) => ref s_rows[(int)code];

    private static InstructionRow[] Build()
    {
        var rows = new InstructionRow[Enum.GetValues<Code>().Length];
        foreach (Code code in Enum.GetValues<Code>())
        {
            if (!Has(code))
            {
                continue;
            }

            OpCodeInfo info = code.ToOpCode();
            bool isVsib = false;
            for (int i = 0; i < info.OpCount; i++)
            {
                isVsib |= info.GetOpKind(i) is >= OpCodeOperandKind.mem_vsib32x and <= OpCodeOperandKind.mem_vsib64z;
            }

            rows[(int)code] = isVsib
                ? new InstructionRow(&EvexGather.Lower, InstructionTraits.None)
                : new InstructionRow(
                    &HostEvex.Lower,
                    InstructionTraits.CopyToHost | (EvexShape.IsFloat(code.Mnemonic()) ? InstructionTraits.Float : 0));
        }

        return rows;
    }
}
