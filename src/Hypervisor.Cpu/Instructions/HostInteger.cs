using System;
using Hypervisor.Cpu.Decode;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>BMI1, BMI2, ADX, LZCNT, TZCNT, POPCNT, MOVBE, run as the host.</summary>
internal static unsafe class HostInteger
{
    // General registers and flags only.
    private static ReadOnlySpan<Mnemonic> Plain =>
    [
        Mnemonic.Adcx, Mnemonic.Adox, Mnemonic.Andn, Mnemonic.Bextr, Mnemonic.Blsi, Mnemonic.Blsmsk, Mnemonic.Blsr,
        Mnemonic.Bzhi, Mnemonic.Movbe, Mnemonic.Mulx, Mnemonic.Pdep, Mnemonic.Pext, Mnemonic.Popcnt,
        Mnemonic.Rorx, Mnemonic.Sarx, Mnemonic.Shlx, Mnemonic.Shrx,
    ];

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Lzcnt, InstructionTraits.CopyToHost, &LowerCount);
        table.Define(Mnemonic.Tzcnt, InstructionTraits.CopyToHost, &LowerCount);
        foreach (Mnemonic mnemonic in Plain)
        {
            table.Define(mnemonic, InstructionTraits.CopyToHost, &HostInstructions.Lower);
        }
    }

    // CPUs without these run them as BSR and BSF with a prefix that means nothing.
    private static void LowerCount(LoweringContext context, in Instruction instruction, Operation* op)
    {
        if (HostFeatures.IsOffered(context.Vcpu, instruction.Code))
        {
            HostInstructions.Lower(context, instruction, op);
            return;
        }

        Instruction plain = instruction;
        plain.Code = instruction.Code switch
        {
            Code.Tzcnt_r16_rm16 => Code.Bsf_r16_rm16,
            Code.Tzcnt_r32_rm32 => Code.Bsf_r32_rm32,
            Code.Tzcnt_r64_rm64 => Code.Bsf_r64_rm64,
            Code.Lzcnt_r16_rm16 => Code.Bsr_r16_rm16,
            Code.Lzcnt_r32_rm32 => Code.Bsr_r32_rm32,
            _ => Code.Bsr_r64_rm64,
        };
        InstructionTable.Find(plain.Mnemonic).Lower(context, plain, op);
    }
}
