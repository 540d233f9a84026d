using Hypervisor.Cpu;
using Hypervisor.Cpu.State;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Interrupts;

public sealed unsafe class ExceptionDeliveryTests
{
    private const int TrapGate = 15;
    private const int InterruptGate16 = 6;

    [Fact]
    public void Real_mode_interrupt_pushes_flags_cs_ip_and_clears_if()
    {
        using var program = new AsmProgram(CpuMode.Real, a =>
        {
            a.sti();
            a.@int(0x21);
        });

        Assert.Equal(VcpuExit.Halted, program.Run());

        Assert.Equal(0x21, program.LastVector);
        ulong stack = program.Vcpu.State->Gpr[4];
        Assert.Equal(AsmProgram.StackTop - 6, stack);
        Assert.Equal(AsmProgram.Code + 3, program.Read(stack, 2));
        Assert.Equal(0ul, program.Read(stack + 2, 2));
        Assert.Equal(Rflags.Interrupt, program.Read(stack + 4, 2) & Rflags.Interrupt);
        Assert.Equal(0ul, program.Vcpu.State->Rflags & Rflags.Interrupt);
    }

    [Fact]
    public void Divide_error_restarts_at_the_instruction_with_rf_set()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.xor(ecx, ecx);
            a.div(ecx);
        });

        program.Run();

        Assert.Equal(ExceptionVector.DivideError, program.LastVector);
        ulong stack = program.Vcpu.State->Gpr[4];
        Assert.Equal(AsmProgram.StackTop - 40, stack);
        Assert.Equal(AsmProgram.Code + 2, program.Read(stack, 8));
        Assert.Equal(AsmProgram.Code64, program.Read(stack + 8, 8));
        Assert.NotEqual(0ul, program.Read(stack + 16, 8) & Rflags.Resume);
        Assert.Equal(AsmProgram.StackTop, program.Read(stack + 24, 8));
        Assert.Equal(AsmProgram.Data0, program.Read(stack + 32, 8));
    }

    [Fact]
    public void Long_mode_stack_is_aligned_and_error_code_pushed()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.sub(rsp, 3);
            a.mov(rax, 0x8000_0000_0000_0000);
            a.mov(rax, __[rax]);
        });

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal(AsmProgram.StackTop - 16 - 48, program.Vcpu.State->Gpr[4]);
        Assert.Equal(0ul, program.Read(program.Vcpu.State->Gpr[4], 8));
        Assert.Equal(AsmProgram.StackTop - 3, program.Read(program.Vcpu.State->Gpr[4] + 32, 8));
    }

    [Fact]
    public void Interrupt_stack_table_wins_over_the_current_stack()
    {
        using var program = new AsmProgram(CpuMode.Long, a => a.ud2());
        program.SetGate(6, AsmProgram.Code64, AsmProgram.Handler(6), type: 14, ist: 3);
        program.Write64(AsmProgram.Tss + 0x34, 0x4F00);

        program.Run();

        Assert.Equal(0x4F00ul - 40, program.Vcpu.State->Gpr[4]);
        Assert.Equal(AsmProgram.Data0, program.Vcpu.State->Segments[SegmentRegister.Ss].Selector);
    }

    [Fact]
    public void Interrupt_from_user_code_switches_to_rsp0_with_a_null_ss()
    {
        using AsmProgram program = UserProgram(a => a.@int(0x80));
        program.SetGate(0x80, AsmProgram.Code64, AsmProgram.Handler(0x80), TrapGate, dpl: 3);

        program.Run();

        Assert.Equal(0x80, program.LastVector);
        ulong stack = program.Vcpu.State->Gpr[4];
        Assert.Equal(AsmProgram.InnerStackTop - 40, stack);
        Assert.Equal(AsmProgram.UserCode + 2, program.Read(stack, 8));
        Assert.Equal(AsmProgram.UserCode64, program.Read(stack + 8, 8));
        Assert.Equal(AsmProgram.UserStackTop, program.Read(stack + 24, 8));
        Assert.Equal(AsmProgram.UserData, program.Read(stack + 32, 8));
        Assert.Equal(0u, program.Vcpu.State->Segments[SegmentRegister.Ss].Selector);
        Assert.Equal(0u, program.Vcpu.State->Cpl);
        Assert.NotEqual(0ul, program.Vcpu.State->Rflags & Rflags.Interrupt); // a trap gate leaves IF
    }

    [Fact]
    public void Software_interrupt_below_the_gates_dpl_is_refused()
    {
        using AsmProgram program = UserProgram(a => a.@int(0x80));

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal((0x80ul * 8) | 2, program.Read(program.Vcpu.State->Gpr[4], 8));
        Assert.Equal(AsmProgram.UserCode, program.Read(program.Vcpu.State->Gpr[4] + 8, 8));
    }

    [Fact]
    public void Absent_gate_is_np_with_the_vector()
    {
        using var program = new AsmProgram(CpuMode.Long, a => a.@int(0x40));
        program.SetGate(0x40, AsmProgram.Code64, AsmProgram.Handler(0x40), type: 14, present: false);

        program.Run();

        Assert.Equal(ExceptionVector.SegmentNotPresent, program.LastVector);
        Assert.Equal((0x40ul * 8) | 2, program.Read(program.Vcpu.State->Gpr[4], 8));
    }

    [Fact]
    public void Fault_while_delivering_an_exception_sets_ext()
    {
        using var program = new AsmProgram(CpuMode.Long, a => a.ud2());
        program.SetGate(6, AsmProgram.Code64, AsmProgram.Handler(6), type: 14, present: false);

        program.Run();

        Assert.Equal(ExceptionVector.SegmentNotPresent, program.LastVector);
        Assert.Equal((6ul * 8) | 3, program.Read(program.Vcpu.State->Gpr[4], 8));
    }

    [Theory]
    [InlineData(0x10)] // not a code segment
    [InlineData(0x18)] // compatibility code
    [InlineData(0x0)]  // null
    public void Long_mode_handler_outside_64_bit_code_is_refused(int selector)
    {
        using var program = new AsmProgram(CpuMode.Long, a => a.@int(0x40));
        program.SetGate(0x40, (ushort)selector, AsmProgram.Handler(0x40), type: 14);

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal((ulong)selector, program.Read(program.Vcpu.State->Gpr[4], 8));
    }

    [Fact]
    public void Contributory_fault_in_delivery_of_a_contributory_fault_is_a_double_fault()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.xor(ecx, ecx);
            a.div(ecx);
        });
        program.SetGate(0, AsmProgram.Code64, AsmProgram.Handler(0), type: 14, present: false);

        program.Run();

        Assert.Equal(ExceptionVector.DoubleFault, program.LastVector);
        Assert.Equal(0ul, program.Read(program.Vcpu.State->Gpr[4], 8));
    }

    [Fact]
    public void Fault_in_delivery_of_a_double_fault_shuts_down()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.lidt(__[(int)AsmProgram.Data]); // limit 0
            a.ud2();
        });

        Assert.Equal(VcpuExit.Shutdown, program.Run());
        Assert.Equal(VcpuExit.Shutdown, program.Run());
        Assert.Equal(AsmProgram.StackTop, program.Vcpu.State->Gpr[4]);
    }

    [Fact]
    public void Page_fault_in_delivery_of_a_page_fault_is_a_double_fault()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(rsp, 0x50_0000); // not mapped
            a.mov(rax, __[0x60_0000]);
        });
        program.SetGate(8, AsmProgram.Code64, AsmProgram.Handler(8), type: 14, ist: 1);
        program.Write64(AsmProgram.Tss + 0x24, 0x4F00);

        program.Run();

        Assert.Equal(ExceptionVector.DoubleFault, program.LastVector);
        Assert.Equal(0x50_0000ul - 8, program.Vcpu.State->Cr2);
        Assert.Equal(0x50_0000ul, program.Read(program.Vcpu.State->Gpr[4] + 32, 8));
    }

    [Fact]
    public void Protected_mode_privilege_change_takes_the_stack_from_the_tss()
    {
        using AsmProgram program = UserProgram32(a => a.@int(0x80));
        program.SetGate(0x80, AsmProgram.Code32, AsmProgram.Handler(0x80), type: 14, dpl: 3);

        program.Run();

        Assert.Equal(0x80, program.LastVector);
        ulong stack = program.Vcpu.State->Gpr[4];
        Assert.Equal(AsmProgram.InnerStackTop - 20, stack);
        Assert.Equal(AsmProgram.UserCode + 2, program.Read(stack, 4));
        Assert.Equal(AsmProgram.UserCode32, program.Read(stack + 4, 4));
        Assert.Equal(AsmProgram.UserStackTop, program.Read(stack + 12, 4));
        Assert.Equal(AsmProgram.UserData, program.Read(stack + 16, 4));
        Assert.Equal(AsmProgram.Data0, program.Vcpu.State->Segments[SegmentRegister.Ss].Selector);
    }

    [Fact]
    public void Sixteen_bit_gate_pushes_words()
    {
        using var program = new AsmProgram(CpuMode.Protected, a => a.@int(0x50));
        program.SetGate(0x50, AsmProgram.Code32, AsmProgram.Handler(0x50), InterruptGate16);

        program.Run();

        Assert.Equal(0x50, program.LastVector);
        Assert.Equal(AsmProgram.StackTop - 6, program.Vcpu.State->Gpr[4]);
        Assert.Equal(AsmProgram.Code + 2, program.Read(program.Vcpu.State->Gpr[4], 2));
    }

    [Fact]
    public void Into_traps_only_on_overflow()
    {
        using var program = new AsmProgram(CpuMode.Protected, a =>
        {
            a.xor(eax, eax);
            a.into();
            a.mov(eax, 0x7FFF_FFFF);
            a.inc(eax);
            a.into();
        });

        program.Run();

        Assert.Equal(ExceptionVector.Overflow, program.LastVector);
        Assert.Equal(0x8000_0000ul, program.Vcpu.State->Gpr[0]);
    }

    [Fact]
    public void Breakpoint_pushes_the_next_address_without_rf()
    {
        using var program = new AsmProgram(CpuMode.Long, a => a.int3());

        program.Run();

        Assert.Equal(ExceptionVector.Breakpoint, program.LastVector);
        Assert.Equal(AsmProgram.Code + 1, program.Read(program.Vcpu.State->Gpr[4], 8));
        Assert.Equal(0ul, program.Read(program.Vcpu.State->Gpr[4] + 16, 8) & Rflags.Resume);
    }

    [Fact]
    public void Iretq_returns_where_the_interrupt_came_from()
    {
        using AsmProgram program = UserProgram(a =>
        {
            a.@int(0x80);
            a.mov(ebx, 0x1234);
            a.@int(0x81);
        });
        program.SetGate(0x80, AsmProgram.Code64, AsmProgram.Data, type: 14, dpl: 3);
        program.SetGate(0x81, AsmProgram.Code64, AsmProgram.Handler(0x81), type: 14, dpl: 3);
        program.Assemble(AsmProgram.Data, a => a.iretq());

        program.Run();

        Assert.Equal(0x81, program.LastVector);
        Assert.Equal(0x1234ul, program.Vcpu.State->Gpr[3]);
        Assert.Equal(AsmProgram.UserStackTop, program.Read(program.Vcpu.State->Gpr[4] + 24, 8));
    }

    internal static AsmProgram UserProgram(System.Action<Assembler> write)
    {
        var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.push((int)AsmProgram.UserData);
            a.push((int)AsmProgram.UserStackTop);
            a.push(0x202);
            a.push((int)AsmProgram.UserCode64);
            a.push((int)AsmProgram.UserCode);
            a.iretq();
        });
        program.Assemble(AsmProgram.UserCode, write);
        return program;
    }

    internal static AsmProgram UserProgram32(System.Action<Assembler> write)
    {
        var program = new AsmProgram(CpuMode.Protected, a =>
        {
            a.push((int)AsmProgram.UserData);
            a.push((int)AsmProgram.UserStackTop);
            a.push(0x202);
            a.push((int)AsmProgram.UserCode32);
            a.push((int)AsmProgram.UserCode);
            a.iretd();
        });
        program.Assemble(AsmProgram.UserCode, write);
        return program;
    }
}
