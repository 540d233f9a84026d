using Hypervisor.Cpu;
using Hypervisor.Cpu.State;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Segmentation;

public sealed unsafe class TaskSwitchTests
{
    private const ushort NewTask = 0x60;
    private const ulong NewTss = 0x3200;
    private const ulong NewStack = 0x4800;

    [Fact]
    public void Call_nests_a_task_and_iret_comes_back()
    {
        using AsmProgram program = New(a =>
        {
            a.mov(ebx, 0x1234);
            a.db(0x9A, 0, 0, 0, 0, (byte)NewTask, 0);
            a.inc(ecx);
            a.ud2();
        });
        program.Assemble(AsmProgram.Data, a =>
        {
            a.mov(esi, ebx);
            a.mov(ebx, 9);
            a.iretd();
        });

        program.Run();

        Assert.Equal(6, program.LastVector);
        CpuState* state = program.Vcpu.State;
        Assert.Equal(0x1234ul, state->Gpr[3]);
        Assert.Equal(1ul, state->Gpr[1]);
        Assert.Equal((ulong)AsmProgram.TaskState, program.Read(NewTss, 2));     // back link
        Assert.Equal(9ul, program.Read(NewTss + 52, 4));                        // EBX of the task that ended
        Assert.Equal(0x89ul, program.Read(AsmProgram.Gdt + NewTask + 5, 1));    // not busy any more
        Assert.Equal(0x8Bul, program.Read(AsmProgram.Gdt + AsmProgram.TaskState + 5, 1));
        Assert.NotEqual(0ul, state->Cr0 & Cr0.TaskSwitched);
    }

    [Fact]
    public void Jump_ends_the_old_task()
    {
        using AsmProgram program = New(a => a.db(0xEA, 0, 0, 0, 0, (byte)NewTask, 0));
        program.Assemble(AsmProgram.Data, a => a.hlt());

        program.Run();

        CpuState* state = program.Vcpu.State;
        Assert.Equal(AsmProgram.Data + 1, state->Rip);
        Assert.Equal(NewStack, state->Gpr[4]);
        Assert.Equal(NewTask, state->Segments[SegmentRegister.Tr].Selector);
        Assert.Equal(0x8Bul, program.Read(AsmProgram.Gdt + NewTask + 5, 1));
        Assert.Equal(0x89ul, program.Read(AsmProgram.Gdt + AsmProgram.TaskState + 5, 1));
        Assert.Equal(0ul, state->Rflags & Rflags.NestedTask);
        Assert.Equal(AsmProgram.Code + 7, program.Read(AsmProgram.Tss + 32, 4));
    }

    [Fact]
    public void Task_gate_takes_an_exception_with_its_error_code()
    {
        using AsmProgram program = New(a =>
        {
            a.mov(eax, 0x1000);
            a.mov(ds, ax);
        });
        program.SetGate(13, NewTask, 0, type: 5);
        program.Assemble(AsmProgram.Data, a => a.hlt());

        program.Run();

        CpuState* state = program.Vcpu.State;
        Assert.Equal(AsmProgram.Data + 1, state->Rip);
        Assert.Equal(NewStack - 4, state->Gpr[4]);
        Assert.Equal(0x1000ul, program.Read(state->Gpr[4], 4));
        Assert.NotEqual(0ul, state->Rflags & Rflags.NestedTask);
        Assert.Equal(AsmProgram.Code + 5, program.Read(AsmProgram.Tss + 32, 4));
    }

    [Fact]
    public void Busy_task_is_refused()
    {
        using AsmProgram program = New(a => a.db(0xEA, 0, 0, 0, 0, (byte)AsmProgram.TaskState, 0));

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal((ulong)AsmProgram.TaskState, program.Read(program.Vcpu.State->Gpr[4], 4));
    }

    [Fact]
    public void Bad_segment_faults_inside_the_new_task()
    {
        using AsmProgram program = New(a => a.db(0xEA, 0, 0, 0, 0, (byte)NewTask, 0));
        program.Write32(NewTss + 84, 0x1000); // DS outside the table

        program.Run();

        CpuState* state = program.Vcpu.State;
        Assert.Equal(ExceptionVector.InvalidTss, program.LastVector);
        Assert.Equal(0x1000ul, program.Read(state->Gpr[4], 4));
        Assert.Equal(AsmProgram.Data, program.Read(state->Gpr[4] + 4, 4)); // the new task's first instruction
        Assert.Equal(NewTask, state->Segments[SegmentRegister.Tr].Selector);
    }

    [Fact]
    public void Trap_bit_raises_debug_before_the_first_instruction()
    {
        using AsmProgram program = New(a => a.db(0xEA, 0, 0, 0, 0, (byte)NewTask, 0));
        program.Write32(NewTss + 100, 1);

        program.Run();

        Assert.Equal(ExceptionVector.Debug, program.LastVector);
        Assert.NotEqual(0ul, program.Vcpu.State->Dr[6] & (1 << 15));
        Assert.Equal(AsmProgram.Data, program.Read(program.Vcpu.State->Gpr[4], 4));
    }

    [Fact]
    public void Virtual_8086_code_runs_and_its_interrupts_save_all_segments()
    {
        using AsmProgram program = Virtual(3, a =>
        {
            a.mov(ax, cs);
            a.@int(0x80);
        });
        program.SetGate(0x80, AsmProgram.Code32, AsmProgram.Handler(0x80), type: 14, dpl: 3);

        program.Run();

        Assert.Equal(0x80, program.LastVector);
        CpuState* state = program.Vcpu.State;
        Assert.Equal(AsmProgram.InnerStackTop - 36, state->Gpr[4]);
        Assert.Equal(0xB00ul, state->Gpr[0] & 0xFFFF);
        Assert.Equal(4ul, program.Read(state->Gpr[4], 4));        // EIP after MOV and INT
        Assert.Equal(0xB00ul, program.Read(state->Gpr[4] + 4, 4));
        Assert.NotEqual(0ul, program.Read(state->Gpr[4] + 8, 4) & Rflags.Virtual8086);
        Assert.Equal(0x400ul, program.Read(state->Gpr[4] + 16, 4)); // SS
        Assert.Equal(0x111ul, program.Read(state->Gpr[4] + 20, 4)); // ES
        Assert.Equal(0x222ul, program.Read(state->Gpr[4] + 24, 4)); // DS
        Assert.Equal(0ul, state->Rflags & Rflags.Virtual8086);
        Assert.Equal(0u, state->Segments[SegmentRegister.Ds].Selector);
    }

    [Theory]
    [InlineData("cli")]
    [InlineData("sti")]
    [InlineData("pushf")]
    [InlineData("popf")]
    [InlineData("int")]
    [InlineData("iret")]
    public void Sensitive_instructions_fault_in_virtual_8086_mode_below_iopl_3(string name)
    {
        using AsmProgram program = Virtual(0, a =>
        {
            System.Action emit = name switch
            {
                "cli" => a.cli,
                "sti" => a.sti,
                "pushf" => a.pushf,
                "popf" => a.popf,
                "int" => () => a.@int(0x80),
                _ => a.iret,
            };
            emit();
        });

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal(0ul, program.Read(program.Vcpu.State->Gpr[4] + 4, 4));
    }

    [Fact]
    public void Virtual_interrupt_flag_replaces_if_with_extensions()
    {
        using AsmProgram program = Virtual(0, a =>
        {
            a.sti();
            a.pushf();
            a.pop(ax);
            a.cli();
            a.@int(0x21);
        });
        program.Vcpu.State->Cr4 |= Cr4.Virtual8086Extensions;
        // Redirection bitmap at 70H: all through the guest's vectors
        program.Write32(AsmProgram.Tss + 0x64, 0x90u << 16);
        program.Write32(0x21 * 4, 0x0C00_0000);               // C00:0
        program.Assemble(AsmProgram.Data, a => a.hlt(), bits: 16);

        program.Run();

        // HLT in virtual-8086 mode is #GP: it happened in the guest's own handler.
        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal(0xC00ul, program.Read(program.Vcpu.State->Gpr[4] + 8, 4));
        Assert.NotEqual(0ul, program.Vcpu.State->Gpr[0] & Rflags.Interrupt);
        Assert.NotEqual(0ul, program.Vcpu.State->Gpr[0] & Rflags.IoPrivilege);
    }

    private static AsmProgram New(System.Action<Assembler> write)
    {
        var program = new AsmProgram(CpuMode.Protected, write);
        program.SetDescriptor(NewTask, AsmProgram.Descriptor((uint)NewTss, 0x67, 0x89, 0));
        program.Write32(NewTss + 32, (uint)AsmProgram.Data);
        program.Write32(NewTss + 36, 2);
        program.Write32(NewTss + 56, (uint)NewStack);
        program.Write32(NewTss + 76, AsmProgram.Code32);
        for (ulong offset = 72; offset <= 92; offset += 4)
        {
            program.Write32(NewTss + offset, offset == 76 ? AsmProgram.Code32 : AsmProgram.Data0);
        }

        return program;
    }

    private static AsmProgram Virtual(int privilege, System.Action<Assembler> write)
    {
        var program = new AsmProgram(CpuMode.Protected, a =>
        {
            a.push(0);     // GS
            a.push(0);     // FS
            a.push(0x222); // DS
            a.push(0x111); // ES
            a.push(0x400); // SS
            a.push(0x800); // ESP
            a.push(0x2_0002 | (privilege << 12));
            a.push(0xB00); // CS: UserCode
            a.push(0);
            a.iretd();
        });
        program.Assemble(AsmProgram.UserCode, write, bits: 16);
        return program;
    }
}
