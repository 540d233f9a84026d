using System;
using Hypervisor.Cpu.Interrupts;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu;

/// <summary>Register values after power-on, INIT and a boot loader. Spec: SDM volume 3, table 10-1.</summary>
internal static unsafe class VcpuReset
{
    private const uint Signature = 0x0005_0657;
    private const uint RealData = 0x93;
    private const uint RealCode = 0x9B;
    private const uint LdtAttributes = 0x82;
    private const uint BusyTss32 = 0x8B;
    private const ulong PatDefault = 0x0007_0406_0007_0406;
    private const uint MxcsrDefault = 0x1F80;

    internal static void PowerOn(Vcpu vcpu)
    {
        CpuState* state = vcpu.State;
        ulong events = state->Events;
        ulong* tlb = state->Tlb;
        new Span<byte>(state, sizeof(CpuState)).Clear();
        state->Events = events;
        state->Tlb = tlb;
        state->Cr0 = Cr0.CacheDisable | Cr0.NotWriteThrough;
        state->Xcr0 = 1;
        state->Pat = PatDefault;
        state->Mxcsr = MxcsrDefault;
        *(ushort*)state->Fpu = 0x40;    // FCW
        *(state->Fpu + 4) = 0xFF;       // FTW, abridged: all registers hold +0.0
        vcpu.Msrs.Reset();
        InitializeRegisters(vcpu);
    }

    internal static void Initialize(Vcpu vcpu) => InitializeRegisters(vcpu);

    internal static void Load(Vcpu vcpu, in InitialState initial)
    {
        CpuState* state = vcpu.State;
        new Span<ulong>(state->Gpr, 16).Clear();
        state->Gpr[0] = initial.Rax;
        state->Gpr[1] = initial.Rcx;
        state->Gpr[2] = initial.Rdx;
        state->Gpr[3] = initial.Rbx;
        state->Gpr[4] = initial.Rsp;
        state->Gpr[5] = initial.Rbp;
        state->Gpr[6] = initial.Rsi;
        state->Gpr[7] = initial.Rdi;
        state->Rip = initial.Rip;
        state->Rflags = Rflags.AlwaysOne;
        state->LazyShift = ArithmeticFlags.Explicit;
        state->Cr0 = initial.Cr0 | Cr0.ExtensionType;
        state->Cr3 = initial.Cr3;
        state->Cr4 = initial.Cr4;
        state->Efer = initial.Efer;
        state->Gdtr = new Segment { Base = initial.GdtBase, Limit = initial.GdtLimit };
        state->Idtr = new Segment { Base = initial.IdtBase, Limit = initial.IdtLimit };
        state->Segments[SegmentRegister.Es] = initial.Es;
        state->Segments[SegmentRegister.Cs] = initial.Cs;
        state->Segments[SegmentRegister.Ss] = initial.Ss;
        state->Segments[SegmentRegister.Ds] = initial.Ds;
        state->Segments[SegmentRegister.Fs] = initial.Fs;
        state->Segments[SegmentRegister.Gs] = initial.Gs;
        state->Segments[SegmentRegister.Ldtr] = initial.Ldtr;
        state->Segments[SegmentRegister.Tr] = initial.Tr;
        state->Cpl = 0;
        state->Activity = Activity.Active;
    }

    // What INIT sets as well. CR0.CD and NW keep their values there.
    private static void InitializeRegisters(Vcpu vcpu)
    {
        CpuState* state = vcpu.State;
        new Span<ulong>(state->Gpr, 16).Clear();
        state->Gpr[2] = Signature;
        state->Rip = 0xFFF0;
        state->Rflags = Rflags.AlwaysOne;
        state->LazyShift = ArithmeticFlags.Explicit;
        state->Cpl = 0;
        for (int i = 0; i < 6; i++)
        {
            state->Segments[i] = new Segment { Limit = 0xFFFF, Attributes = RealData };
        }

        state->Segments[SegmentRegister.Cs] = new Segment
        {
            Selector = 0xF000,
            Base = 0xFFFF_0000,
            Limit = 0xFFFF,
            Attributes = RealCode,
        };
        state->Segments[SegmentRegister.Ldtr] = new Segment { Limit = 0xFFFF, Attributes = LdtAttributes };
        state->Segments[SegmentRegister.Tr] = new Segment { Limit = 0xFFFF, Attributes = BusyTss32 };
        state->Gdtr = new Segment { Limit = 0xFFFF };
        state->Idtr = new Segment { Limit = 0xFFFF };
        state->Cr0 = (state->Cr0 & (Cr0.CacheDisable | Cr0.NotWriteThrough)) | Cr0.ExtensionType;
        state->Cr2 = 0;
        state->Cr3 = 0;
        state->Cr4 = 0;
        state->Efer = 0;
        state->InterruptShadow = 0;
        state->Activity = vcpu.Index == 0 ? Activity.Active : Activity.WaitingForSipi;
        new Span<ulong>(state->Dr, 8).Clear();
        vcpu.Debug.Reset();
        vcpu.Events.Reset();
    }
}
