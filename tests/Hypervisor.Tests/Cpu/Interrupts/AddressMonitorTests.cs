using System;
using Hypervisor.Core.Memory;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Cpu;
using Hypervisor.Cpu.Interrupts;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Interrupts;

public sealed unsafe class AddressMonitorTests
{
    private const int Vector = 0x41;
    private const ulong Line = AsmProgram.Data + 0x1040;

    [Theory]
    [InlineData(0)]
    [InlineData(63)]
    public void Store_to_the_line_ends_the_wait(int offset)
    {
        using AsmProgram program = Waiting();

        Assert.True(program.Ram.TryWrite(Line + (ulong)offset, [1]));

        Assert.Equal(1, program.WakeCount);
        program.Run();
        Assert.Equal(1ul, program.Vcpu.State->Gpr[3]);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(64)]
    public void Store_beside_the_line_does_not_end_the_wait(int offset)
    {
        using AsmProgram program = Waiting();

        Assert.True(program.Ram.TryWrite(Line + (ulong)offset, [1]));
        program.Run();

        Assert.Equal(0, program.WakeCount);
        Assert.Equal(0ul, program.Vcpu.State->Gpr[3]);
    }

    [Fact]
    public void Store_across_the_start_of_the_line_ends_the_wait()
    {
        using AsmProgram program = Waiting();

        Assert.True(program.Ram.TryWrite(Line - 4, new byte[8]));
        program.Run();

        Assert.Equal(1ul, program.Vcpu.State->Gpr[3]);
    }

    [Fact]
    public void Store_between_monitor_and_mwait_is_not_missed()
    {
        using AsmProgram program = Started(a =>
        {
            a.monitor();
            a.@out(0x80, al); // the test stores here
            a.mwait();
            a.inc(ebx);
            a.hlt();
        });
        program.Bus.OnPortWrite = () => Assert.True(program.Ram.TryWrite(Line, [1]));

        program.Run();

        Assert.Equal(1ul, program.Vcpu.State->Gpr[3]);
    }

    [Fact]
    public void Mwait_without_monitor_does_not_wait()
    {
        using AsmProgram program = Started(a =>
        {
            a.mwait();
            a.inc(ebx);
            a.hlt();
        });

        program.Run();

        Assert.Equal(1ul, program.Vcpu.State->Gpr[3]);
    }

    [Fact]
    public void Wait_disarms_so_that_stores_are_plain_again_and_a_second_mwait_does_not_wait()
    {
        using AsmProgram program = Started(a =>
        {
            a.monitor();
            a.mwait();
            a.mwait();
            a.mov(__byte_ptr[(int)Line], 1);
            a.inc(ebx);
            a.hlt();
        });
        program.Run();
        Assert.NotEqual(0, program.Ram.States[Line >> 12] & (byte)PageState.Monitored);

        Assert.True(program.Ram.TryWrite(Line, [1]));
        program.Run();

        Assert.Equal(1ul, program.Vcpu.State->Gpr[3]);
        Assert.Equal((byte)PageState.Dirty, program.Ram.States[Line >> 12]);
    }

    [Theory]
    [InlineData(true, 0, true)]   // IF set: taken
    [InlineData(false, 0, false)] // held back
    [InlineData(false, 1, true)]  // ends the wait, and is held back
    public void Interrupt_ends_the_wait_when_if_or_the_extension_says_so(bool isOpen, int extensions, bool ends)
    {
        using AsmProgram program = Started(a =>
        {
            a.monitor();
            a.mov(ecx, extensions);
            if (isOpen)
            {
                a.sti();
            }

            a.mwait();
            a.inc(ebx);
            a.hlt();
        });
        VcpuEventsTests.EnableApic(program);
        Assert.Equal(VcpuExit.Halted, program.Run());
        Assert.Equal(Activity.MonitorWait, program.Vcpu.State->Activity);

        program.Vcpu.LocalApic.Accept(DeliveryMode.Fixed, Vector, isLevel: false);
        program.Run();

        Assert.Equal(isOpen ? Vector : -1, program.LastVector);
        Assert.Equal(ends && !isOpen ? 1ul : 0, program.Vcpu.State->Gpr[3]);
        Assert.Equal(ends ? Activity.Halted : Activity.MonitorWait, program.Vcpu.State->Activity);
    }

    [Fact]
    public void Nmi_ends_the_wait()
    {
        using AsmProgram program = Waiting();

        program.Vcpu.LocalApic.Accept(DeliveryMode.Nmi, 0, isLevel: false);
        program.Run();

        Assert.Equal(ExceptionVector.NonMaskableInterrupt, program.LastVector);
    }

    [Fact]
    public void Event_between_monitor_and_mwait_disarms()
    {
        using AsmProgram program = Started(a =>
        {
            a.monitor();
            a.int3();
            a.mwait();
            a.inc(ebx);
            a.hlt();
        });
        program.SetGate(3, AsmProgram.Code64, AsmProgram.Data, type: 14);
        program.Assemble(AsmProgram.Data, a => a.iretq());

        program.Run();

        Assert.Equal(1ul, program.Vcpu.State->Gpr[3]);
    }

    [Fact]
    public void Vcpu_with_peers_does_not_wait_for_stores_that_it_cannot_see()
    {
        using var ram = new GuestRam(1 << 20);
        using var vcpu = new Vcpu(0, ram, new RecordingBus(), new GuestTimers(new GuestClock(new SimClock())), new()
        {
            ApicBus = new RecordingBus(),
            BusLock = new(),
            Model = Hypervisor.Cpu.Identification.CpuModel.Default,
            Entropy = static target => target.Clear(),
            HasPeers = true,
        });

        vcpu.Monitor.Arm(ram.Base + 0x1000);

        Assert.False(vcpu.Monitor.TryWait(breaksOnInterrupt: false));
        Assert.Equal(0, ram.States[1] & (byte)PageState.Monitored);
    }

    [Fact]
    public void Loaded_vcpu_goes_on_after_mwait()
    {
        using AsmProgram program = Waiting();
        using AsmProgram target = Started(a => a.hlt());
        byte[] section = new byte[1 << 14];
        int used = CheckpointSection.Write(program.Vcpu, section);

        CheckpointSection.Read(target.Vcpu, section.AsSpan(0, used));

        Assert.Equal(Activity.Active, target.Vcpu.State->Activity);
        Assert.Equal(program.Vcpu.State->Rip, target.Vcpu.State->Rip);
        Assert.Equal(Activity.MonitorWait, program.Vcpu.State->Activity); // the source waits on
    }

    [Theory]
    [InlineData(true, 1, ExceptionVector.GeneralProtection)]
    [InlineData(false, 2, ExceptionVector.GeneralProtection)]
    [InlineData(false, 1, -1)]
    public void Extensions_that_do_not_exist_are_refused(bool isMonitor, int extensions, int vector)
    {
        using AsmProgram program = Started(a =>
        {
            a.mov(ecx, extensions);
            Emit(a, isMonitor);
            a.hlt();
        });

        program.Run();

        Assert.Equal(vector, program.LastVector);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void User_code_may_use_neither(bool isMonitor)
    {
        using AsmProgram program = ExceptionDeliveryTests.UserProgram(a => Emit(a, isMonitor));

        program.Run();

        Assert.Equal(ExceptionVector.InvalidOpcode, program.LastVector);
        Assert.Equal(AsmProgram.UserCode, program.Read(program.Vcpu.State->Gpr[4], 8));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Misc_enable_hides_the_instructions_and_their_cpuid_bit(bool isMonitor)
    {
        using AsmProgram program = Started(a =>
        {
            a.mov(eax, 1);
            a.cpuid();
            a.mov(edi, ecx);
            a.mov(ecx, 0x1A0);
            a.rdmsr();
            a.btr(eax, 18);
            a.wrmsr();
            a.mov(eax, 1);
            a.cpuid();
            a.mov(esi, ecx);
            a.xor(ecx, ecx);
            Emit(a, isMonitor);
        });

        program.Run();

        Assert.Equal(ExceptionVector.InvalidOpcode, program.LastVector);
        Assert.Equal(8ul, program.Vcpu.State->Gpr[7] & 8);
        Assert.Equal(0ul, program.Vcpu.State->Gpr[6] & 8);
    }

    [Fact]
    public void Monitor_faults_like_a_load_and_marks_the_page_accessed()
    {
        using AsmProgram program = Started(a =>
        {
            a.monitor();
            a.mov(eax, 0x21000);
            a.monitor();
        });
        program.Write64(AsmProgram.PageTable + (0x21 * 8), 0);

        program.Run();

        Assert.Equal(ExceptionVector.PageFault, program.LastVector);
        Assert.Equal(0x21000ul, program.Vcpu.State->Cr2);
        Assert.Equal(0ul, program.Read(program.Vcpu.State->Gpr[4], 8));
        Assert.Equal(0x20ul, program.Read(AsmProgram.PageTable + (Line >> 12 << 3), 8) & 0x60);
    }

    [Fact]
    public void Segment_override_and_limit_are_those_of_the_address()
    {
        using var program = new AsmProgram(CpuMode.Protected, a =>
        {
            a.mov(ecx, AsmProgram.Data16);
            a.mov(fs, cx);
            a.xor(ecx, ecx);
            a.mov(eax, 0x1_0000); // past FS, inside DS
            a.monitor();
            a.db(0x64);
            a.monitor();
        });

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal(0x64ul, program.Read(program.Read(program.Vcpu.State->Gpr[4] + 4, 4), 1)); // the one with FS
    }

    // In MWAIT on Line, IF clear; EBX is 1 after it.
    private static AsmProgram Waiting()
    {
        AsmProgram program = Started(a =>
        {
            a.monitor();
            a.mwait();
            a.inc(ebx);
            a.hlt();
        });
        Assert.Equal(VcpuExit.Halted, program.Run());
        Assert.Equal(Activity.MonitorWait, program.Vcpu.State->Activity);
        return program;
    }

    private static AsmProgram Started(Action<Assembler> write)
    {
        var program = new AsmProgram(CpuMode.Long, write);
        program.Vcpu.State->Gpr[0] = Line;
        return program;
    }

    private static void Emit(Assembler a, bool isMonitor)
    {
        if (isMonitor)
        {
            a.monitor();
        }
        else
        {
            a.mwait();
        }
    }
}
