using System;
using System.Collections.Generic;
using Hypervisor.Cpu;
using Hypervisor.Cpu.Instructions;
using Iced.Intel;

namespace Hypervisor.TestKit.Oracle;

/// <summary>Which encodings the oracle compares: all that user mode can run and the instruction table has.</summary>
internal static unsafe class OracleCodes
{
    // Their result depends on the machine or on segments that the two sides do not share, or they leave user mode.
    private static readonly HashSet<Mnemonic> s_excluded =
    [
        Mnemonic.Popf, Mnemonic.Popfd, Mnemonic.Popfq, Mnemonic.Int, Mnemonic.Int1, Mnemonic.Int3, Mnemonic.Into,
        Mnemonic.Iret, Mnemonic.Iretd, Mnemonic.Iretq, Mnemonic.Retf, Mnemonic.Lfs, Mnemonic.Lgs, Mnemonic.Lss,
        Mnemonic.Lds, Mnemonic.Les, Mnemonic.Syscall, Mnemonic.Sysenter, Mnemonic.In, Mnemonic.Out, Mnemonic.Insb,
        Mnemonic.Insw, Mnemonic.Insd, Mnemonic.Outsb, Mnemonic.Outsw, Mnemonic.Outsd, Mnemonic.Hlt, Mnemonic.Verr,
        Mnemonic.Verw, Mnemonic.Lar, Mnemonic.Lsl, Mnemonic.Arpl, Mnemonic.Cli, Mnemonic.Sti, Mnemonic.Xgetbv,
        Mnemonic.Xsetbv, Mnemonic.Rdfsbase, Mnemonic.Rdgsbase, Mnemonic.Wrfsbase, Mnemonic.Wrgsbase, Mnemonic.Rdpid,
    ];

    /// <summary>The encodings of code of so many bits, in Iced's order.</summary>
    internal static List<OpCodeInfo> Find(Vcpu vcpu, int bits = 64)
    {
        var codes = new List<OpCodeInfo>();
        foreach (Code code in Enum.GetValues<Code>())
        {
            OpCodeInfo info = code.ToOpCode();
            ref readonly InstructionRow row = ref InstructionTable.Find(code);
            if (info.IsInstruction
                && (bits == 64 ? info.Mode64 : bits == 32 ? info.Mode32 : info.Mode16)
                && !info.Fwait
                && info.Encoding is EncodingKind.Legacy or EncodingKind.VEX or EncodingKind.EVEX
                && row.Lower != null
                && (row.Traits & InstructionTraits.System) == 0
                && !s_excluded.Contains(code.Mnemonic())
                && IsOffered(vcpu, code)
                && !TouchesSegments(info))
            {
                codes.Add(info);
            }
        }

        return codes;
    }

    // What the guest's CPU lacks but the host has cannot be compared.
    private static bool IsOffered(Vcpu vcpu, Code code)
    {
        foreach (CpuidFeature feature in code.CpuidFeatures())
        {
            string name = feature.ToString();
            if (name.Contains("ONLY", StringComparison.Ordinal)
                || name.StartsWith("CYRIX", StringComparison.Ordinal)
                || name.StartsWith("CET", StringComparison.Ordinal)
                || feature is CpuidFeature.MPX or CpuidFeature.KNC or CpuidFeature.PREFETCHITI)
            {
                return false;
            }
        }

        return code.Encoding() == EncodingKind.Legacy && !IsVector(code)
            ? true
            : HostFeatures.IsOffered(vcpu, code);
    }

    private static bool IsVector(Code code)
    {
        OpCodeInfo info = code.ToOpCode();
        for (int i = 0; i < info.OpCount; i++)
        {
            string kind = info.GetOpKind(i).ToString();
            if (kind.Contains("mm", StringComparison.Ordinal))
            {
                return true;
            }
        }

        return false;
    }

    private static bool TouchesSegments(OpCodeInfo info)
    {
        for (int i = 0; i < info.OpCount; i++)
        {
            OpCodeOperandKind kind = info.GetOpKind(i);
            if (kind is OpCodeOperandKind.seg_reg or OpCodeOperandKind.es or OpCodeOperandKind.cs
                or OpCodeOperandKind.ss or OpCodeOperandKind.ds or OpCodeOperandKind.fs or OpCodeOperandKind.gs
                or OpCodeOperandKind.farbr2_2 or OpCodeOperandKind.farbr4_2 or OpCodeOperandKind.cr_reg
                or OpCodeOperandKind.dr_reg or OpCodeOperandKind.tr_reg)
            {
                return true;
            }
        }

        string text = info.ToInstructionString();
        return text.Contains("m16:", StringComparison.Ordinal);
    }
}
