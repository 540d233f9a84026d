using Hypervisor.Cpu;
using Hypervisor.Cpu.Interrupts;
using Hypervisor.Cpu.State;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Interrupts;

public sealed unsafe class VcpuEventsTests
{
    private const int Vector = 0x41;

    [Fact]
    public void Halt_waits_for_an_interrupt_and_wakes()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.sti();
            a.hlt();
            a.nop();
        });
        EnableApic(program);

        Assert.Equal(VcpuExit.Halted, program.Run());
        Assert.Equal(-1, program.LastVector);
        Assert.Equal(VcpuExit.Halted, program.Run());
        program.Vcpu.LocalApic.Accept(DeliveryMode.Fixed, Vector, isLevel: false);
        Assert.Equal(1, program.WakeCount);
        Assert.Equal(VcpuExit.Halted, program.Run());

        Assert.Equal(Vector, program.LastVector);
        Assert.Equal(AsmProgram.Code + 2, program.Read(program.Vcpu.State->Gpr[4], 8));
    }

    [Fact]
    public void Halt_without_if_sleeps_through_interrupts_but_not_nmi()
    {
        using var program = new AsmProgram(CpuMode.Long, a => a.hlt());
        EnableApic(program);
        program.Run();

        program.Vcpu.LocalApic.Accept(DeliveryMode.Fixed, Vector, isLevel: false);
        program.Run();
        Assert.Equal(-1, program.LastVector);
        program.Vcpu.LocalApic.Accept(DeliveryMode.Nmi, 0, isLevel: false);
        program.Run();

        Assert.Equal(ExceptionVector.NonMaskableInterrupt, program.LastVector);
    }

    [Fact]
    public void Interrupt_waits_for_one_instruction_after_sti()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.sti();
            a.inc(eax);
            a.inc(eax);
            a.hlt();
        });
        EnableApic(program);
        program.Vcpu.LocalApic.Accept(DeliveryMode.Fixed, Vector, isLevel: false);

        program.Run();

        Assert.Equal(Vector, program.LastVector);
        Assert.Equal(1ul, program.Vcpu.State->Gpr[0]);
    }

    [Fact]
    public void Sti_halt_with_an_interrupt_pending_runs_the_handler_after_the_halt()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.sti();
            a.hlt();
        });
        EnableApic(program);
        program.Vcpu.LocalApic.Accept(DeliveryMode.Fixed, Vector, isLevel: false);

        program.Run();

        Assert.Equal(Vector, program.LastVector);
        Assert.Equal(AsmProgram.Code + 2, program.Read(program.Vcpu.State->Gpr[4], 8));
    }

    [Fact]
    public void Interrupt_held_back_by_if_costs_no_event_and_comes_with_popf()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(ecx, 1000);
            Label again = a.CreateLabel();
            a.Label(ref again);
            a.dec(ecx);
            a.jne(again);
            a.push(0x202);
            a.popfq();
            a.inc(eax);
            a.hlt();
        });
        EnableApic(program);
        program.Vcpu.LocalApic.Accept(DeliveryMode.Fixed, Vector, isLevel: false);

        program.Run();

        Assert.Equal(Vector, program.LastVector);
        Assert.Equal(0ul, program.Vcpu.State->Gpr[0]); // POPF has no shadow
    }

    [Fact]
    public void Second_nmi_waits_for_iret()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.nop();
            a.hlt();
        });
        program.SetGate(2, AsmProgram.Code64, AsmProgram.Data, type: 14);
        program.Assemble(AsmProgram.Data, a =>
        {
            a.inc(eax);
            a.cmp(eax, 2);
            Label done = a.CreateLabel();
            a.je(done);
            a.hlt();
            a.iretq();
            a.Label(ref done);
            a.ud2();
        });
        program.Vcpu.LocalApic.Accept(DeliveryMode.Nmi, 0, isLevel: false);
        program.Run();
        Assert.Equal(1ul, program.Vcpu.State->Gpr[0]);

        program.Vcpu.LocalApic.Accept(DeliveryMode.Nmi, 0, isLevel: false);
        program.Run();
        Assert.Equal(1ul, program.Vcpu.State->Gpr[0]); // the halt of the handler goes on: blocked

        program.Vcpu.State->Activity = Activity.Active;
        program.Run();
        Assert.Equal(2ul, program.Vcpu.State->Gpr[0]);
    }

    [Fact]
    public void External_interrupt_takes_its_vector_from_the_pic()
    {
        using var program = new AsmProgram(CpuMode.Real, a =>
        {
            a.sti();
            a.hlt();
        });
        program.Bus.ExternalVector = 0x33;
        program.Run();

        program.Vcpu.LocalApic.SetExternalInterrupt(true);
        program.Run();

        Assert.Equal(0x33, program.LastVector);
    }

    [Fact]
    public void Trap_flag_traps_after_each_instruction()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.push(0x102);
            a.popfq();
            a.inc(eax);
            a.inc(eax);
            a.hlt();
        });
        program.SetGate(1, AsmProgram.Code64, AsmProgram.Data, type: 14);
        program.Assemble(AsmProgram.Data, a =>
        {
            a.inc(ebx);
            a.cmp(ebx, 2);
            Label end = a.CreateLabel();
            a.je(end);
            a.iretq();
            a.Label(ref end);
            a.hlt();
        });

        program.Run();

        Assert.Equal(2ul, program.Vcpu.State->Gpr[0]);
        Assert.NotEqual(0ul, program.Vcpu.State->Dr[6] & (1 << 14));
        Assert.Equal(0ul, program.Read(program.Vcpu.State->Gpr[4] + 16, 8) & Rflags.Resume);
    }

    [Fact]
    public void Mov_ss_delays_the_trap_by_one_instruction()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(ecx, (int)AsmProgram.Data0);
            a.push(0x102);
            a.popfq();
            a.mov(ss, cx);
            a.inc(eax);
            a.inc(eax);
            a.hlt();
        });

        program.Run();

        Assert.Equal(ExceptionVector.Debug, program.LastVector);
        Assert.Equal(1ul, program.Vcpu.State->Gpr[0]);
    }

    [Fact]
    public void Repeated_string_instruction_traps_after_each_element()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(edi, (int)AsmProgram.Data);
            a.mov(ecx, 5);
            a.push(0x102);
            a.popfq();
            a.rep.stosb();
            a.hlt();
        });

        program.Run();

        Assert.Equal(ExceptionVector.Debug, program.LastVector);
        Assert.Equal(4ul, program.Vcpu.State->Gpr[1]);
    }

    [Fact]
    public void Instruction_breakpoint_faults_before_and_rf_steps_over()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(rax, (ulong)AsmProgram.Code + 0x100);
            a.mov(dr0, rax);
            a.mov(eax, 1);
            a.mov(dr7, rax);
            a.jmp(AsmProgram.Code + 0x100);
        });
        program.Assemble(AsmProgram.Code + 0x100, a =>
        {
            a.inc(ebx);
            a.hlt();
        });
        program.SetGate(1, AsmProgram.Code64, AsmProgram.Data, type: 14);
        program.Assemble(AsmProgram.Data, a =>
        {
            a.inc(ecx);
            a.bts(__dword_ptr[rsp + 16], 16);
            a.iretq();
        });

        program.Run();

        Assert.Equal(1ul, program.Vcpu.State->Gpr[3]);
        Assert.Equal(1ul, program.Vcpu.State->Gpr[1]);
        Assert.Equal(1ul, program.Vcpu.State->Dr[6] & 0xF);
    }

    [Theory]
    [InlineData(1, true)]  // write breakpoint, store
    [InlineData(3, true)]  // read-write breakpoint, store
    [InlineData(3, false)] // read-write breakpoint, load
    public void Data_breakpoint_traps_after_the_access(int kind, bool isStore)
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(rbx, __[(int)AsmProgram.Data + 8]); // in the TLB before the breakpoint is set
            a.mov(rax, (ulong)AsmProgram.Data + 4);
            a.mov(dr2, rax);
            a.mov(eax, 0x10 | (kind << 24) | (3 << 26));
            a.mov(dr7, rax);
            a.mov(__qword_ptr[(int)AsmProgram.Data + 8], rbx);
            if (isStore)
            {
                a.mov(__word_ptr[(int)AsmProgram.Data + 6], 1);
            }
            else
            {
                a.mov(ax, __word_ptr[(int)AsmProgram.Data + 6]);
            }

            a.inc(ecx);
            a.hlt();
        });

        program.Run();

        Assert.Equal(ExceptionVector.Debug, program.LastVector);
        Assert.Equal(0ul, program.Vcpu.State->Gpr[1]);
        Assert.Equal(4ul, program.Vcpu.State->Dr[6] & 0xF);
    }

    [Fact]
    public void General_detect_faults_on_debug_register_access()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(eax, 1 << 13);
            a.mov(dr7, rax);
            a.mov(rax, dr0);
        });

        program.Run();

        Assert.Equal(ExceptionVector.Debug, program.LastVector);
        Assert.NotEqual(0ul, program.Vcpu.State->Dr[6] & (1 << 13));
        Assert.Equal(0ul, program.Vcpu.State->Dr[7] & (1 << 13));
    }

    [Fact]
    public void Port_breakpoint_needs_debugging_extensions()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(rax, cr4);
            a.or(eax, 8);
            a.mov(cr4, rax);
            a.mov(eax, 0x80);
            a.mov(dr1, rax);
            a.mov(eax, 4 | (2 << 20));
            a.mov(dr7, rax);
            a.@out(0x80, al);
            a.inc(ecx);
            a.hlt();
        });

        program.Run();

        Assert.Equal(ExceptionVector.Debug, program.LastVector);
        Assert.Single(program.Bus.PortWrites);
        Assert.Equal(0ul, program.Vcpu.State->Gpr[1]);
    }

    [Fact]
    public void Init_and_sipi_start_a_vcpu_in_real_mode()
    {
        using var program = new AsmProgram(CpuMode.Real, a => a.hlt());
        program.Vcpu.State->Activity = Activity.WaitingForSipi;
        Assert.Equal(VcpuExit.Halted, program.Run());

        program.Vcpu.LocalApic.Accept(DeliveryMode.StartUp, 9, isLevel: false); // handlers at 9000: HLT
        program.Run();

        Assert.Equal(1ul, program.Vcpu.State->Rip);
        Assert.Equal(0x9000ul, program.Vcpu.State->Segments[SegmentRegister.Cs].Base);
    }

    [Fact]
    public void Icebp_traps_without_a_check_of_privilege()
    {
        using AsmProgram program = ExceptionDeliveryTests.UserProgram(a => a.int1());

        program.Run();

        Assert.Equal(ExceptionVector.Debug, program.LastVector);
        Assert.Equal(AsmProgram.UserCode + 1, program.Read(program.Vcpu.State->Gpr[4], 8));
    }

    internal static void EnableApic(AsmProgram program) => program.Vcpu.LocalApic.WritePage(0xF0, 4, 0x1FF);
}
