using System;
using System.Runtime.InteropServices;
using Hypervisor.Cpu.Control;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.Segmentation;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>CPUID, time stamps, MSRs, random numbers, FS and GS bases. Spec: SDM volume 2.</summary>
internal static unsafe class SystemInformation
{
    private const int Rax = 0, Rcx = 1, Rdx = 2, Rbx = 3;

    internal static void Define(TableBuilder table)
    {
        const InstructionTraits Stays = InstructionTraits.System;
        const InstructionTraits Ends = InstructionTraits.EndsBlock | InstructionTraits.System;
        table.Define(Mnemonic.Cpuid, Ends, &LowerSimple); // it serializes: see the translator, too
        table.Define(Mnemonic.Rdtsc, Stays, &LowerSimple);
        table.Define(Mnemonic.Rdtscp, Stays, &LowerSimple);
        table.Define(Mnemonic.Rdpmc, Stays, &LowerSimple);
        table.Define(Mnemonic.Rdmsr, Stays, &LowerSimple);
        table.Define(Mnemonic.Wrmsr, Ends, &LowerSimple);
        table.Define(Mnemonic.Rdpid, Stays, &LowerRegister);
        table.Define(Mnemonic.Rdrand, Stays, &LowerRegister);
        table.Define(Mnemonic.Rdseed, Stays, &LowerRegister);
        table.Define(Mnemonic.Rdfsbase, Stays, &LowerBase);
        table.Define(Mnemonic.Rdgsbase, Stays, &LowerBase);
        table.Define(Mnemonic.Wrfsbase, Stays, &LowerBase);
        table.Define(Mnemonic.Wrgsbase, Stays, &LowerBase);
    }

    private static void LowerSimple(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = instruction.Mnemonic switch
        {
            Mnemonic.Cpuid => &Identify,
            Mnemonic.Rdtsc => &ReadTime,
            Mnemonic.Rdtscp => context.Vcpu.Features.Has(CpuFeature.Rdtscp) ? &ReadTimeAndId : null,
            Mnemonic.Rdpmc => &ReadCounter,
            Mnemonic.Rdmsr => &ReadMsr,
            _ => &WriteMsr,
        };

    private static void LowerRegister(LoweringContext context, in Instruction instruction, Operation* op)
    {
        CpuFeatures features = context.Vcpu.Features;
        op->OperandBytes = (byte)instruction.Op0Register.GetSize();
        op->Execute = instruction.Mnemonic switch
        {
            Mnemonic.Rdpid => features.Has(CpuFeature.Rdpid) ? &ReadId : null,
            Mnemonic.Rdrand => features.Has(CpuFeature.Rdrand) ? &ReadRandom : null,
            _ => features.Has(CpuFeature.Rdseed) ? &ReadRandom : null,
        };
    }

    private static void LowerBase(LoweringContext context, in Instruction instruction, Operation* op)
    {
        Mnemonic mnemonic = instruction.Mnemonic;
        op->OperandBytes = (byte)instruction.Op0Register.GetSize();
        op->Extra = mnemonic is Mnemonic.Rdfsbase or Mnemonic.Wrfsbase
            ? (byte)SegmentRegister.Fs
            : (byte)SegmentRegister.Gs;
        bool exists = context.Is64Bit && context.Vcpu.Features.Has(CpuFeature.FsGsBase);
        op->Execute = !exists ? null
            : mnemonic is Mnemonic.Rdfsbase or Mnemonic.Rdgsbase ? &ReadBase : &WriteBase;
    }

    private static Outcome Identify(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        uint leaf = (uint)state->Gpr[Rax];
        uint subleaf = (uint)state->Gpr[Rcx];
        (uint Eax, uint Ebx, uint Ecx, uint Edx) answer = vcpu.Identification.Read(leaf, subleaf);
        if (KnownAnswers.IsConstant(leaf))
        {
            vcpu.Memory.Answers.Note(leaf, subleaf, answer);
        }

        state->Gpr[Rax] = answer.Eax;
        state->Gpr[Rbx] = answer.Ebx;
        state->Gpr[Rcx] = answer.Ecx;
        state->Gpr[Rdx] = answer.Edx;
        return Outcome.Next;
    }

    private static bool IsTimeForbidden(CpuState* state)
        => (state->Cr4 & Cr4.TimeStampDisable) != 0 && state->Cpl != 0 && (state->Cr0 & Cr0.ProtectionEnable) != 0;

    private static Outcome ReadTime(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        if (IsTimeForbidden(state))
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        SetPair(state, vcpu.Tsc.Now);
        return Outcome.Next;
    }

    private static Outcome ReadTimeAndId(Vcpu vcpu, Operation* op)
    {
        Outcome outcome = ReadTime(vcpu, op);
        if (outcome == Outcome.Next)
        {
            vcpu.State->Gpr[Rcx] = (uint)vcpu.State->TscAux;
        }

        return outcome;
    }

    // There are no counters: CPUID leaf 0AH says so, and any number is out of range.
    private static Outcome ReadCounter(Vcpu vcpu, Operation* op)
        => vcpu.Raise(ExceptionVector.GeneralProtection, 0);

    private static Outcome ReadMsr(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        if (state->Cpl != 0 || !MsrCatalog.TryRead(vcpu, (uint)state->Gpr[Rcx], out ulong value))
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        SetPair(state, value);
        return Outcome.Next;
    }

    private static Outcome WriteMsr(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        ulong value = (uint)state->Gpr[Rax] | (state->Gpr[Rdx] << 32);
        return state->Cpl == 0 && MsrCatalog.TryWrite(vcpu, (uint)state->Gpr[Rcx], value)
            ? Outcome.EndBlock
            : vcpu.Raise(ExceptionVector.GeneralProtection, 0);
    }

    private static Outcome ReadId(Vcpu vcpu, Operation* op)
    {
        Operands.Set(vcpu.State, op->Destination, (ulong)(uint)vcpu.State->TscAux);
        return Outcome.Next;
    }

    // CF = 1: a number was there. The other flags are cleared.
    private static Outcome ReadRandom(Vcpu vcpu, Operation* op)
    {
        ulong value = 0;
        vcpu.Entropy(MemoryMarshal.AsBytes(new Span<ulong>(ref value)));
        SetRegister(vcpu.State, op, value);
        ArithmeticFlags.WriteArithmetic(vcpu.State, Rflags.Carry);
        return Outcome.Next;
    }

    private static Outcome ReadBase(Vcpu vcpu, Operation* op)
    {
        if ((vcpu.State->Cr4 & Cr4.FsGsBase) == 0)
        {
            return vcpu.Raise(ExceptionVector.InvalidOpcode);
        }

        SetRegister(vcpu.State, op, vcpu.State->Segments[op->Extra].Base);
        return Outcome.Next;
    }

    private static Outcome WriteBase(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        if ((state->Cr4 & Cr4.FsGsBase) == 0)
        {
            return vcpu.Raise(ExceptionVector.InvalidOpcode);
        }

        ulong value = op->OperandBytes == 8
            ? Operands.Get<ulong>(state, op->Destination)
            : Operands.Get<uint>(state, op->Destination);
        if (!StackFrame.IsCanonical(value))
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        state->Segments[op->Extra].Base = value;
        return Outcome.Next;
    }

    private static void SetPair(CpuState* state, ulong value)
    {
        state->Gpr[Rax] = (uint)value;
        state->Gpr[Rdx] = value >> 32;
    }

    private static void SetRegister(CpuState* state, Operation* op, ulong value)
    {
        switch (op->OperandBytes)
        {
            case 2:
                Operands.Set(state, op->Destination, (ushort)value);
                break;
            case 4:
                Operands.Set(state, op->Destination, (uint)value);
                break;
            default:
                Operands.Set(state, op->Destination, value);
                break;
        }
    }
}
