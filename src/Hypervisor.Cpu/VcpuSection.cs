using System;
using Hypervisor.Core.State;
using Hypervisor.Cpu.Interrupts;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu;

/// <summary>The vCPU's section of a checkpoint: every register that is not derived. See src/FORMATS.md.</summary>
/// <remarks>
/// Not in it: TLB pointer, event bytes, stack mask, code mode and long mode (all follow from the rest), the recorded
/// fault
/// (delivered within the instruction that raised it), lazy flags (RFLAGS is made right first), scratch space.
/// </remarks>
internal static unsafe class VcpuSection
{
    internal static void Transfer(Vcpu vcpu, ref StateCodec state)
    {
        CpuState* cpu = vcpu.State;
        TransferFeatures(vcpu, ref state);
        if (state.IsSaving)
        {
            _ = ArithmeticFlags.Materialize(cpu);
        }
        else
        {
            cpu->LazyShift = ArithmeticFlags.Explicit;
        }

        for (int i = 0; i < 16; i++)
        {
            state.U64(ref cpu->Gpr[i]);
        }

        state.U64(ref cpu->Rip);
        state.U64(ref cpu->Rflags);
        TransferSmall(ref state, ref cpu->Cpl, 3, "CPL");
        for (int i = 0; i < SegmentRegister.Count; i++)
        {
            TransferSegment(ref state, ref cpu->Segments[i]);
        }

        TransferSegment(ref state, ref cpu->Gdtr);
        TransferSegment(ref state, ref cpu->Idtr);
        state.U64(ref cpu->Cr0);
        state.U64(ref cpu->Cr2);
        state.U64(ref cpu->Cr3);
        state.U64(ref cpu->Cr4);
        state.U64(ref cpu->Efer);
        state.U64(ref cpu->Xcr0);
        for (int i = 0; i < 8; i++)
        {
            state.U64(ref cpu->Dr[i]);
        }

        state.U64(ref cpu->Star);
        state.U64(ref cpu->Lstar);
        state.U64(ref cpu->Cstar);
        state.U64(ref cpu->Fmask);
        state.U64(ref cpu->KernelGsBase);
        state.U64(ref cpu->SysenterCs);
        state.U64(ref cpu->SysenterEsp);
        state.U64(ref cpu->SysenterEip);
        state.U64(ref cpu->TscAux);
        state.U64(ref cpu->Pat);
        state.U64(ref cpu->TscOffset);
        state.U32(ref cpu->InterruptShadow);
        TransferActivity(ref state, cpu);
        state.U32(ref cpu->Mxcsr);
        for (int i = 0; i < 8; i++)
        {
            state.U64(ref cpu->Masks[i]);
        }

        state.Bytes(new Span<byte>(cpu->Fpu, 512));
        state.Bytes(new Span<byte>(cpu->Vectors, 32 * 64));
        vcpu.Msrs.Transfer(ref state);
        vcpu.Events.Transfer(ref state);
        TransferAddressLine(vcpu, ref state);
    }

    // A guest that was told of features must keep them: another set is refused, not adapted to.
    private static void TransferFeatures(Vcpu vcpu, ref StateCodec state)
    {
        foreach (uint word in vcpu.Features.Words)
        {
            uint carried = word;
            state.U32(ref carried);
            if (carried != word)
            {
                throw new StateFormatException(
                    $"vCPU {vcpu.Index} was saved with CPU features {carried:X8} where this host has {word:X8}");
            }
        }
    }

    // MWAIT may end for any reason, and a loaded vCPU's monitor is not armed: it goes on after the instruction.
    private static void TransferActivity(ref StateCodec state, CpuState* cpu)
    {
        uint activity = cpu->Activity == Activity.MonitorWait ? Activity.Active : cpu->Activity;
        TransferSmall(ref state, ref activity, Activity.WaitingForSipi, "activity");
        if (!state.IsSaving)
        {
            cpu->Activity = activity;
        }
    }

    private static void TransferSegment(ref StateCodec state, ref Segment segment)
    {
        state.U64(ref segment.Base);
        state.U32(ref segment.Limit);
        state.U32(ref segment.Attributes);
        state.U16(ref segment.Selector);
    }

    private static void TransferAddressLine(Vcpu vcpu, ref StateCodec state)
    {
        bool isOpen = vcpu.IsAddressLine20Open;
        state.Bool(ref isOpen);
        vcpu.IsAddressLine20Open = isOpen;
    }

    // A byte in the section; a value that does not exist is refused before it is used as an index.
    private static void TransferSmall(ref StateCodec state, ref uint value, uint max, string what)
    {
        byte carried = (byte)value;
        state.U8(ref carried);
        if (carried > max)
        {
            throw new StateFormatException($"vCPU {what} is {carried}, at most {max} exists");
        }

        value = carried;
    }
}
