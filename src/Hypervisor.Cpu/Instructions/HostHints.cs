using System.Runtime.Intrinsics.X86;
using System.Threading;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>Fences, prefetches, PAUSE, VZEROUPPER, VZEROALL.</summary>
internal static unsafe class HostHints
{
    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Mfence, InstructionTraits.CopyToHost, &LowerFullFence);
        table.Define(Mnemonic.Sfence, InstructionTraits.CopyToHost, &LowerStoreFence);
        table.Define(Mnemonic.Lfence, InstructionTraits.CopyToHost, &LowerLoadFence);
        table.Define(Mnemonic.Pause, InstructionTraits.CopyToHost, &LowerPause);
        table.Define(Mnemonic.Prefetchnta, InstructionTraits.CopyToHost, &LowerHint);
        table.Define(Mnemonic.Prefetcht0, InstructionTraits.CopyToHost, &LowerHint);
        table.Define(Mnemonic.Prefetcht1, InstructionTraits.CopyToHost, &LowerHint);
        table.Define(Mnemonic.Prefetcht2, InstructionTraits.CopyToHost, &LowerHint);
        table.Define(Mnemonic.Prefetch, InstructionTraits.CopyToHost, &LowerHint);
        table.Define(Mnemonic.Prefetchw, InstructionTraits.CopyToHost, &LowerHint);
        table.Define(Mnemonic.Prefetchwt1, InstructionTraits.CopyToHost, &LowerHint);
        table.Define(Mnemonic.Vzeroupper, InstructionTraits.None, &LowerZeroUpper);
        table.Define(Mnemonic.Vzeroall, InstructionTraits.None, &LowerZeroAll);
    }

    private static void LowerHint(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = &Nothing;

    private static void LowerFullFence(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = &FullFence;

    private static void LowerStoreFence(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = &StoreFence;

    private static void LowerLoadFence(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = &LoadFence;

    private static void LowerPause(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = &Pause;

    private static void LowerZeroUpper(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = HostFeatures.IsOffered(context.Vcpu, instruction.Code) ? &ZeroUpper : null;

    private static void LowerZeroAll(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = HostFeatures.IsOffered(context.Vcpu, instruction.Code) ? &ZeroAll : null;

    private static Outcome Nothing(Vcpu vcpu, Operation* op) => Outcome.Next;

    private static Outcome FullFence(Vcpu vcpu, Operation* op)
    {
        Interlocked.MemoryBarrier();
        return Outcome.Next;
    }

    private static Outcome StoreFence(Vcpu vcpu, Operation* op)
    {
        Sse.StoreFence();
        return Outcome.Next;
    }

    private static Outcome LoadFence(Vcpu vcpu, Operation* op)
    {
        Sse2.LoadFence();
        return Outcome.Next;
    }

    private static Outcome Pause(Vcpu vcpu, Operation* op)
    {
        X86Base.Pause();
        return Outcome.Next;
    }

    private static Outcome ZeroUpper(Vcpu vcpu, Operation* op) => Zero(vcpu, from: 16);

    private static Outcome ZeroAll(Vcpu vcpu, Operation* op) => Zero(vcpu, from: 0);

    // Registers 16 to 31 stay; outside 64-bit mode so do 8 to 15.
    private static Outcome Zero(Vcpu vcpu, int from)
    {
        if (!HostChecks.IsEnabled(vcpu, HostUnit.Avx))
        {
            return Outcome.Fault;
        }

        CpuState* state = vcpu.State;
        for (int register = 0; register < ExtendedState.VectorCount(state); register++)
        {
            new System.Span<byte>(state->Vectors + (64 * register) + from, 64 - from).Clear();
        }

        return Outcome.Next;
    }
}
