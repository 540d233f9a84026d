using Hypervisor.Cpu;
using Hypervisor.Cpu.State;
using Hypervisor.TestKit;
using Hypervisor.Tests.Cpu.Interrupts;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Segmentation;

public sealed unsafe class FarTransferTests
{
    private const int CallGate32 = 12;
    private const ushort Gate = AsmProgram.FreeSelector | 3;

    [Theory]
    [InlineData(0x1000, (int)ExceptionVector.GeneralProtection, 0x1000)] // outside the table
    [InlineData(0x18, (int)ExceptionVector.GeneralProtection, 0x18)]     // execute-only code is not data
    [InlineData(0x60, (int)ExceptionVector.SegmentNotPresent, 0x60)]
    [InlineData(0x38, (int)ExceptionVector.GeneralProtection, 0x38)]     // TSS
    public void Data_segment_loads_are_checked(int selector, int vector, int error)
    {
        using var program = new AsmProgram(CpuMode.Protected, a =>
        {
            a.mov(eax, selector);
            a.mov(ds, ax);
        });
        program.SetDescriptor(AsmProgram.Code32, AsmProgram.Descriptor(0, 0xFFFFF, 0x99, 0xC));
        program.SetDescriptor(0x60, AsmProgram.Descriptor(0, 0xFFFFF, 0x13, 0xC));

        program.Run();

        Assert.Equal(vector, program.LastVector);
        Assert.Equal((ulong)error, program.Read(program.Vcpu.State->Gpr[4], 4));
        Assert.Equal(AsmProgram.Data0, program.Vcpu.State->Segments[SegmentRegister.Ds].Selector);
    }

    [Theory]
    [InlineData(0, (int)ExceptionVector.GeneralProtection, 0)]
    [InlineData(0x28, (int)ExceptionVector.GeneralProtection, 0x28)] // RPL and DPL differ from CPL
    [InlineData(0x60, (int)ExceptionVector.StackFault, 0x60)]        // not present
    public void Stack_segment_loads_are_checked(int selector, int vector, int error)
    {
        using var program = new AsmProgram(CpuMode.Protected, a =>
        {
            a.mov(eax, selector);
            a.mov(ss, ax);
        });
        program.SetDescriptor(0x60, AsmProgram.Descriptor(0, 0xFFFFF, 0x13, 0xC));

        program.Run();

        Assert.Equal(vector, program.LastVector);
        Assert.Equal((ulong)error, program.Read(program.Vcpu.State->Gpr[4], 4));
    }

    [Fact]
    public void Null_data_segment_loads_but_faults_on_use()
    {
        using var program = new AsmProgram(CpuMode.Protected, a =>
        {
            a.xor(eax, eax);
            a.mov(es, ax);
            a.mov(ebx, __.es[(int)AsmProgram.Data]);
        });

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal(AsmProgram.Code + 5, program.Read(program.Vcpu.State->Gpr[4] + 4, 4));
    }

    [Fact]
    public void Limit_and_expand_down_are_checked()
    {
        using var program = new AsmProgram(CpuMode.Protected, a =>
        {
            a.mov(eax, 0x60);
            a.mov(ds, ax);
            a.mov(bl, __byte_ptr[0x1000]); // the first byte above the limit
            a.mov(bl, __byte_ptr[0xFFF]);
        });
        program.SetDescriptor(0x60, AsmProgram.Descriptor(0, 0xFFF, 0x97, 0x4));

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal(AsmProgram.Code + 14, program.Read(program.Vcpu.State->Gpr[4] + 4, 4));
    }

    [Fact]
    public void Call_gate_changes_the_stack_and_copies_parameters()
    {
        using AsmProgram program = ExceptionDeliveryTests.UserProgram32(a =>
        {
            a.push(0x1111);
            a.push(0x2222);
            a.db(0x9A, 0, 0, 0, 0, (byte)Gate, 0); // CALL gate
            a.mov(ebx, 0x55);
            a.@int(0x80);
        });
        program.SetDescriptor(AsmProgram.FreeSelector, GateDescriptor(AsmProgram.Code32, AsmProgram.Data, 2));
        program.SetGate(0x80, AsmProgram.Code32, AsmProgram.Handler(0x80), type: 14, dpl: 3);
        program.Assemble(AsmProgram.Data, a =>
        {
            a.mov(ecx, __dword_ptr[esp + 8]);
            a.mov(edx, __dword_ptr[esp + 12]);
            a.mov(esi, esp);
            a.retf(8);
        });

        program.Run();

        Assert.Equal(0x80, program.LastVector);
        Assert.Equal(0x2222ul, program.Vcpu.State->Gpr[1]);
        Assert.Equal(0x1111ul, program.Vcpu.State->Gpr[2]);
        Assert.Equal(AsmProgram.InnerStackTop - 24, program.Vcpu.State->Gpr[6]);
        Assert.Equal(0x55ul, program.Vcpu.State->Gpr[3]);
        Assert.Equal(AsmProgram.UserStackTop, program.Read(program.Vcpu.State->Gpr[4] + 12, 4)); // both stacks released
    }

    [Fact]
    public void Call_gate_in_long_mode_pushes_eight_bytes()
    {
        using AsmProgram program = ExceptionDeliveryTests.UserProgram(a => a.call(__fword_ptr[(int)AsmProgram.Data]));
        program.SetDescriptor(AsmProgram.FreeSelector, GateDescriptor(AsmProgram.Code64, AsmProgram.Handler(9), 0));
        program.Write64(AsmProgram.Data, (ulong)Gate << 32);

        program.Run();

        Assert.Equal(9, program.LastVector);
        ulong stack = program.Vcpu.State->Gpr[4];
        Assert.Equal(AsmProgram.InnerStackTop - 32, stack);
        Assert.Equal(AsmProgram.UserCode64, program.Read(stack + 8, 8));
        Assert.Equal(AsmProgram.UserStackTop, program.Read(stack + 16, 8));
        Assert.Equal(AsmProgram.UserData, program.Read(stack + 24, 8));
    }

    [Fact]
    public void Return_outward_drops_inner_data_segments()
    {
        using AsmProgram program = ExceptionDeliveryTests.UserProgram32(a => a.@int(0x80));
        program.SetGate(0x80, AsmProgram.Code32, AsmProgram.Handler(0x80), type: 14, dpl: 3);

        program.Run();

        Assert.Equal(0u, program.Vcpu.State->Segments[SegmentRegister.Ds].Selector);
        Assert.NotEqual(0u, program.Vcpu.State->Segments[SegmentRegister.Ds].Attributes & SegmentBits.Unusable);
    }

    [Fact]
    public void Null_fs_keeps_its_msr_base_on_return_to_user_code()
    {
        using AsmProgram program = ExceptionDeliveryTests.UserProgram(a => a.ud2());
        program.Vcpu.State->Segments[SegmentRegister.Fs] = new Segment
        {
            Base = 0x1234_5000,
            Attributes = SegmentBits.Unusable,
        };

        program.Run();

        Assert.Equal(0x1234_5000ul, program.Vcpu.State->Segments[SegmentRegister.Fs].Base);
    }

    [Fact]
    public void Conforming_code_keeps_the_callers_privilege()
    {
        using AsmProgram program = ExceptionDeliveryTests.UserProgram32(a =>
            a.db(0xEA, 0x00, 0xC0, 0, 0, (byte)AsmProgram.FreeSelector, 0));
        program.SetDescriptor(AsmProgram.FreeSelector, AsmProgram.Descriptor(0, 0xFFFFF, 0x9F, 0xC));
        program.SetGate(0x80, AsmProgram.Code32, AsmProgram.Handler(0x80), type: 14, dpl: 3);
        program.Assemble(AsmProgram.Data, a => a.@int(0x80));

        program.Run();

        Assert.Equal(0x80, program.LastVector);
        Assert.Equal(AsmProgram.FreeSelector | 3ul, program.Read(program.Vcpu.State->Gpr[4] + 4, 4));
    }

    [Theory]
    [InlineData(0x20)] // outward
    [InlineData(0x10)] // data
    [InlineData(0)]
    public void Far_jump_elsewhere_is_refused(int selector)
    {
        using var program = new AsmProgram(CpuMode.Protected, a =>
            a.db(0xEA, 0x00, 0xC0, 0, 0, (byte)selector, 0));

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal((ulong)selector, program.Read(program.Vcpu.State->Gpr[4], 4));
    }

    [Fact]
    public void Failed_far_call_leaves_the_stack_pointer()
    {
        using var program = new AsmProgram(CpuMode.Protected, a => a.db(0x9A, 0, 0, 2, 0, (byte)AsmProgram.Code16, 0));

        program.Run();

        // Offset beyond the limit, after the pushes
        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal(AsmProgram.StackTop - 16, program.Vcpu.State->Gpr[4]);
        Assert.Equal(AsmProgram.Code, program.Read(program.Vcpu.State->Gpr[4] + 4, 4));
    }

    [Fact]
    public void Access_rights_and_limits_can_be_asked_for()
    {
        using var program = new AsmProgram(CpuMode.Protected, a =>
        {
            a.mov(ecx, AsmProgram.Code16);
            a.lar(eax, ecx);
            a.lsl(ebx, ecx);
            a.verw(cx);
            a.setz(dl);
            a.verr(cx);
            a.setz(dh);
            a.mov(esi, 0x10);
            a.mov(edi, 3);
            a.arpl(si, di);
            a.hlt();
        });

        program.Run();

        Assert.Equal(0x0000_9B00ul, program.Vcpu.State->Gpr[0]);
        Assert.Equal(0xFFFFul, program.Vcpu.State->Gpr[3]);
        Assert.Equal(0x100ul, program.Vcpu.State->Gpr[2] & 0xFFFF);
        Assert.Equal(0x13ul, program.Vcpu.State->Gpr[6]);
    }

    [Fact]
    public void Syscall_and_sysret_go_there_and_back()
    {
        using AsmProgram program = ExceptionDeliveryTests.UserProgram(a =>
        {
            a.syscall();
            a.mov(ebx, 7);
            a.@int(0x80);
        });
        program.SetGate(0x80, AsmProgram.Code64, AsmProgram.Handler(0x80), type: 14, dpl: 3);
        program.Assemble(AsmProgram.Data, a =>
        {
            a.mov(esi, cs);
            a.sysretq();
        });
        CpuState* state = program.Vcpu.State;
        state->Star = (0x20ul << 48) | (0x08ul << 32);
        state->Lstar = AsmProgram.Data;
        state->Fmask = 0x200;

        program.Run();

        Assert.Equal(0x80, program.LastVector);
        Assert.Equal(7ul, state->Gpr[3]);
        Assert.Equal(8ul, state->Gpr[6]);
        Assert.Equal(AsmProgram.UserCode64, program.Read(state->Gpr[4] + 8, 8));
        Assert.Equal(AsmProgram.UserData, program.Read(state->Gpr[4] + 32, 8));
        Assert.NotEqual(0ul, program.Read(state->Gpr[4] + 16, 8) & Rflags.Interrupt);
    }

    [Fact]
    public void Sysenter_and_sysexit_go_there_and_back()
    {
        using AsmProgram program = ExceptionDeliveryTests.UserProgram32(a => a.sysenter());
        program.SetDescriptor(0x48, AsmProgram.Descriptor(0, 0xFFFFF, 0x9B, 0xC));
        program.SetGate(0x80, AsmProgram.Code32, AsmProgram.Handler(0x80), type: 14, dpl: 3);
        program.Assemble(AsmProgram.Data, a =>
        {
            a.mov(ecx, (int)AsmProgram.UserStackTop - 8);
            a.mov(edx, (int)AsmProgram.UserCode + 0x100);
            a.mov(esi, esp);
            a.sysexit();
        });
        program.Assemble(AsmProgram.UserCode + 0x100, a => a.@int(0x80));
        program.Vcpu.State->SysenterCs = 0x48;
        program.Vcpu.State->SysenterEip = AsmProgram.Data;
        program.Vcpu.State->SysenterEsp = 0x4800;

        program.Run();

        Assert.Equal(0x80, program.LastVector);
        Assert.Equal(0x4800ul, program.Vcpu.State->Gpr[6]);
        Assert.Equal(0x5Bul, program.Read(program.Vcpu.State->Gpr[4] + 4, 4));
        Assert.Equal(AsmProgram.UserStackTop - 8, program.Read(program.Vcpu.State->Gpr[4] + 12, 4));
    }

    private static ulong GateDescriptor(ushort selector, ulong offset, int count)
        => (offset & 0xFFFF) | ((ulong)selector << 16) | ((ulong)count << 32) | ((ulong)CallGate32 << 40)
            | (3ul << 45) | (1ul << 47) | ((offset & 0xFFFF_0000) << 32);
}
