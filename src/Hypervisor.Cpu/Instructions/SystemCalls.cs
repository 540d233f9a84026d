using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Segmentation;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS. Spec: SDM volume 2; volume 3, 5.8.7, 5.8.8.</summary>
internal static unsafe class SystemCalls
{
    // Flat segments that these instructions load without looking at a table: DPL is added.
    private const uint FlatCode64 = 0xA09B;
    private const uint FlatCode32 = 0xC09B;
    private const uint FlatData = 0xC093;

    internal static void Define(TableBuilder table)
    {
        const InstructionTraits Ends = InstructionTraits.EndsBlock | InstructionTraits.System;
        table.Define(Mnemonic.Syscall, Ends, &LowerSyscall);
        table.Define(Mnemonic.Sysret, Ends, &LowerReturn);
        table.Define(Mnemonic.Sysretq, Ends, &LowerReturn);
        table.Define(Mnemonic.Sysenter, Ends, &LowerEnter);
        table.Define(Mnemonic.Sysexit, Ends, &LowerReturn);
        table.Define(Mnemonic.Sysexitq, Ends, &LowerReturn);
        table.Define(Mnemonic.Swapgs, InstructionTraits.System, &LowerSwap);
    }

    // As on Intel's CPUs, SYSCALL and SYSRET exist in 64-bit mode only.
    private static void LowerSyscall(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = context.Is64Bit ? &Syscall : null;

    private static void LowerEnter(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = &Sysenter;

    private static void LowerReturn(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->OperandBytes = instruction.Mnemonic is Mnemonic.Sysretq or Mnemonic.Sysexitq ? (byte)8 : (byte)4;
        bool isSysret = instruction.Mnemonic is Mnemonic.Sysret or Mnemonic.Sysretq;
        op->Execute = !isSysret ? &Sysexit : context.Is64Bit ? &Sysret : null;
    }

    private static void LowerSwap(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = context.Is64Bit ? &SwapGs : null;

    private static Outcome Syscall(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        if ((state->Efer & Efer.SyscallEnable) == 0)
        {
            return vcpu.Raise(ExceptionVector.InvalidOpcode);
        }

        ulong flags = ArithmeticFlags.Materialize(state) & ~Rflags.Resume;
        state->Gpr[1] = state->Rip;
        state->Gpr[11] = flags;
        state->Rip = state->Lstar;
        state->Rflags = (flags & ~state->Fmask) | Rflags.AlwaysOne;
        ushort selector = (ushort)((state->Star >> 32) & 0xFFFC);
        SetFlat(state, SegmentRegister.Cs, selector, FlatCode64, 0);
        SetFlat(state, SegmentRegister.Ss, (ushort)(selector + 8), FlatData, 0);
        state->Cpl = 0;
        EnterMode(vcpu);
        if ((state->Rflags & Rflags.Trap) == 0)
        {
            vcpu.Events.SuppressStep();
        }

        return Outcome.EndBlock;
    }

    private static Outcome Sysret(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        if ((state->Efer & Efer.SyscallEnable) == 0)
        {
            return vcpu.Raise(ExceptionVector.InvalidOpcode);
        }

        bool isWide = op->OperandBytes == 8;
        if (state->Cpl != 0 || (isWide && !StackFrame.IsCanonical(state->Gpr[1])))
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        state->Rip = isWide ? state->Gpr[1] : (uint)state->Gpr[1];
        ulong kept = Rflags.Defined & ~(Rflags.Resume | Rflags.Virtual8086);
        state->Rflags = (state->Gpr[11] & kept) | Rflags.AlwaysOne;
        state->LazyShift = ArithmeticFlags.Explicit;
        ushort start = (ushort)(state->Star >> 48);
        ushort code = (ushort)((start + (isWide ? 16 : 0)) | 3);
        SetFlat(state, SegmentRegister.Cs, code, isWide ? FlatCode64 : FlatCode32, 3);
        SetFlat(state, SegmentRegister.Ss, (ushort)((start + 8) | 3), FlatData, 3);
        state->Cpl = 3;
        EnterMode(vcpu);
        return Outcome.EndBlock;
    }

    private static Outcome Sysenter(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        if (!vcpu.Segments.IsProtected || (state->SysenterCs & 0xFFFC) == 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        bool isLong = state->LongMode != 0;
        state->Rflags = ArithmeticFlags.Materialize(state)
            & ~(Rflags.Virtual8086 | Rflags.Interrupt | Rflags.Resume);
        state->Gpr[4] = isLong ? state->SysenterEsp : (uint)state->SysenterEsp;
        state->Rip = isLong ? state->SysenterEip : (uint)state->SysenterEip;
        ushort selector = (ushort)(state->SysenterCs & 0xFFFC);
        SetFlat(state, SegmentRegister.Cs, selector, isLong ? FlatCode64 : FlatCode32, 0);
        SetFlat(state, SegmentRegister.Ss, (ushort)(selector + 8), FlatData, 0);
        state->Cpl = 0;
        EnterMode(vcpu);
        return Outcome.EndBlock;
    }

    private static Outcome Sysexit(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        bool isWide = op->OperandBytes == 8;
        bool isRefused = !vcpu.Segments.IsProtected || state->Cpl != 0 || (state->SysenterCs & 0xFFFC) == 0
            || (isWide && !(StackFrame.IsCanonical(state->Gpr[1]) && StackFrame.IsCanonical(state->Gpr[2])));
        if (isRefused)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        state->Gpr[4] = isWide ? state->Gpr[1] : (uint)state->Gpr[1];
        state->Rip = isWide ? state->Gpr[2] : (uint)state->Gpr[2];
        ushort selector = (ushort)((state->SysenterCs + (isWide ? 32u : 16)) | 3);
        SetFlat(state, SegmentRegister.Cs, selector, isWide ? FlatCode64 : FlatCode32, 3);
        SetFlat(state, SegmentRegister.Ss, (ushort)(selector + 8), FlatData, 3);
        state->Cpl = 3;
        EnterMode(vcpu);
        return Outcome.EndBlock;
    }

    private static Outcome SwapGs(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        if (state->Cpl != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        ref ulong gsBase = ref state->Segments[SegmentRegister.Gs].Base;
        (gsBase, state->KernelGsBase) = (state->KernelGsBase, gsBase);
        return Outcome.Next;
    }

    private static void SetFlat(CpuState* state, int register, ushort selector, uint attributes, uint privilege)
        => state->Segments[register] = new Segment
        {
            Selector = selector,
            Limit = uint.MaxValue,
            Attributes = attributes | (privilege << SegmentBits.DplShift),
        };

    private static void EnterMode(Vcpu vcpu)
    {
        vcpu.Segments.UpdateMode();
        vcpu.Events.OnFlagsChanged();
    }
}
