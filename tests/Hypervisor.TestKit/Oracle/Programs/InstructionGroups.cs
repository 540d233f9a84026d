using System;
using System.Linq;
using System.Collections.Generic;
using Hypervisor.Cpu.Instructions;
using Iced.Intel;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>The encodings that random programs are made of, by what they are good for.</summary>
internal sealed class InstructionGroups
{
    // They end a program, tell of the machine, store what is not compared, or reach memory that no operand names.
    private static readonly HashSet<Mnemonic> s_excluded =
    [
        Mnemonic.Cpuid, Mnemonic.Rdtsc, Mnemonic.Rdtscp, Mnemonic.Rdpmc, Mnemonic.Rdrand, Mnemonic.Rdseed,
        Mnemonic.Xsave, Mnemonic.Xsave64, Mnemonic.Xsavec, Mnemonic.Xsavec64, Mnemonic.Xsaveopt, Mnemonic.Xsaveopt64,
        Mnemonic.Xrstor, Mnemonic.Xrstor64, Mnemonic.Fxsave, Mnemonic.Fxsave64, Mnemonic.Fxrstor, Mnemonic.Fxrstor64,
        Mnemonic.Fldenv, Mnemonic.Fnstenv, Mnemonic.Fnsave, Mnemonic.Frstor, Mnemonic.Fldcw, Mnemonic.Ldmxcsr,
        Mnemonic.Vldmxcsr, Mnemonic.Maskmovq, Mnemonic.Maskmovdqu, Mnemonic.Vmaskmovdqu, Mnemonic.Vmaskmovps,
        Mnemonic.Vmaskmovpd, Mnemonic.Vpmaskmovd, Mnemonic.Vpmaskmovq, Mnemonic.Str, Mnemonic.Sldt, Mnemonic.Smsw,
        Mnemonic.Sgdt, Mnemonic.Sidt, Mnemonic.Div, Mnemonic.Idiv, Mnemonic.Monitor, Mnemonic.Mwait, Mnemonic.Std,
        Mnemonic.Xlatb, Mnemonic.Enter, Mnemonic.Leave, Mnemonic.Popf, Mnemonic.Popfq,
        Mnemonic.Popfd, Mnemonic.Bound,
    ];

    private static readonly HashSet<Mnemonic> s_integer =
    [
        Mnemonic.Add, Mnemonic.Or, Mnemonic.Adc, Mnemonic.Sbb, Mnemonic.And, Mnemonic.Sub, Mnemonic.Xor, Mnemonic.Cmp,
        Mnemonic.Test, Mnemonic.Mov, Mnemonic.Inc, Mnemonic.Dec, Mnemonic.Neg, Mnemonic.Not, Mnemonic.Shl,
        Mnemonic.Sal, Mnemonic.Shr, Mnemonic.Sar, Mnemonic.Rol, Mnemonic.Ror, Mnemonic.Rcl, Mnemonic.Rcr,
        Mnemonic.Shld, Mnemonic.Shrd, Mnemonic.Bt, Mnemonic.Bts, Mnemonic.Btr, Mnemonic.Btc, Mnemonic.Bsf,
        Mnemonic.Bsr, Mnemonic.Movzx, Mnemonic.Movsx, Mnemonic.Movsxd, Mnemonic.Lea, Mnemonic.Xchg,
        Mnemonic.Cmpxchg, Mnemonic.Cmpxchg8b, Mnemonic.Cmpxchg16b, Mnemonic.Xadd, Mnemonic.Imul, Mnemonic.Mul,
        Mnemonic.Cbw, Mnemonic.Cwde, Mnemonic.Cdqe, Mnemonic.Cwd, Mnemonic.Cdq, Mnemonic.Cqo, Mnemonic.Bswap,
        Mnemonic.Lahf, Mnemonic.Sahf, Mnemonic.Clc, Mnemonic.Stc, Mnemonic.Cmc, Mnemonic.Cld, Mnemonic.Movbe,
        Mnemonic.Crc32, Mnemonic.Popcnt, Mnemonic.Lzcnt, Mnemonic.Tzcnt, Mnemonic.Andn, Mnemonic.Bextr,
        Mnemonic.Blsi, Mnemonic.Blsmsk, Mnemonic.Blsr, Mnemonic.Bzhi, Mnemonic.Mulx, Mnemonic.Pdep, Mnemonic.Pext,
        Mnemonic.Rorx, Mnemonic.Sarx, Mnemonic.Shlx, Mnemonic.Shrx, Mnemonic.Adcx, Mnemonic.Adox,
    ];

    internal InstructionGroups(ProgramKind kind, IEnumerable<OpCodeInfo> offered)
    {
        foreach (OpCodeInfo info in offered)
        {
            if (!IsUsable(info) || (kind == ProgramKind.Real16 && info.Encoding == EncodingKind.VEX))
            {
                continue;
            }

            string name = info.Mnemonic.ToString();
            bool isConditional = name.StartsWith("Set", StringComparison.Ordinal)
                || name.StartsWith("Cmov", StringComparison.Ordinal);
            All.Add(info);
            if (s_integer.Contains(info.Mnemonic) || isConditional)
            {
                AddInteger(info);
            }
            else if (info.Code.CpuidFeatures()[0] is CpuidFeature.FPU or CpuidFeature.FPU387 or CpuidFeature.FPU287)
            {
                X87.Add(info);
            }
            else
            {
                (WideTable.Has(info.Code) ? Wide : Other).Add(info);
            }
        }

        if (Wide.Count == 0)
        {
            Wide.AddRange(Other);
        }
    }

    /// <summary>Everything.</summary>
    internal List<OpCodeInfo> All { get; } = [];

    /// <summary>General registers and flags.</summary>
    internal List<OpCodeInfo> Integer { get; } = [];

    /// <summary>Integer instructions that set some flags.</summary>
    internal List<OpCodeInfo> FlagWriters { get; } = [];

    /// <summary>Integer instructions that need flags.</summary>
    internal List<OpCodeInfo> FlagReaders { get; } = [];

    /// <summary>Integer instructions that leave flags alone.</summary>
    internal List<OpCodeInfo> FlagKeepers { get; } = [];

    /// <summary>x87.</summary>
    internal List<OpCodeInfo> X87 { get; } = [];

    /// <summary>MMX, SSE, AVX, and the rest.</summary>
    internal List<OpCodeInfo> Other { get; } = [];

    /// <summary>AVX-512, if the guest's CPU has it; else as <see cref="Other"/>.</summary>
    internal List<OpCodeInfo> Wide { get; } = [];

    private void AddInteger(OpCodeInfo info)
    {
        var instruction = new Instruction { Code = info.Code, Op0Kind = OpKind.Register };
        Integer.Add(info);
        if (instruction.RflagsRead != 0)
        {
            FlagReaders.Add(info);
        }

        bool isShift = info.Mnemonic is Mnemonic.Shl or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Sal or Mnemonic.Rol
            or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr or Mnemonic.Shld or Mnemonic.Shrd;
        (isShift || instruction.RflagsModified != 0 ? FlagWriters : FlagKeepers).Add(info);
    }

    private static bool IsUsable(OpCodeInfo info)
    {
        var instruction = new Instruction { Code = info.Code };
        if (instruction.FlowControl != FlowControl.Next || s_excluded.Contains(info.Mnemonic)
            || instruction.IsStringInstruction || instruction.IsVsib
            || info.Code == Code.Movsxd_r16_rm16 // AMD reads 4 bytes of memory, Intel 2: seed 700827
            || info.Code.CpuidFeatures().Contains(CpuidFeature.SHA)) // AMD lets the operand be unaligned: seed 100402
        {
            return false;
        }

        for (int i = 0; i < info.OpCount; i++)
        {
            if (!OperandFiller.CanFill(info.GetOpKind(i)))
            {
                return false;
            }
        }

        return true;
    }
}
