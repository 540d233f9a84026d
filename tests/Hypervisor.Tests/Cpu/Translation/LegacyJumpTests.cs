using Hypervisor.Cpu;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Hypervisor.Tests.Cpu.Translation.LegacyProgram;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Translation;

/// <summary>Hot code of 16 and 32 bits at the edges of its code segment, on both engines.</summary>
public sealed unsafe class LegacyJumpTests
{
    public static TheoryData<ExecutionEngine> Engines => LegacyProgram.Engines;

    [Theory]
    [MemberData(nameof(Engines))]
    public void Jump_of_16_bits_wraps_within_its_segment(ExecutionEngine engine)
    {
        using AsmProgram program = Prepare(engine, CpuMode.Real, FarCall(0xFFF0));
        program.Assemble(0x2FFF0, a => a.db(0xE9, 0x1D, 0x00)); // JMP to FFF3 + 1D: 10
        program.Assemble(0x20010, a => a.retf());
        program.Assemble(0x30010, a =>
        {
            a.mov(__word_ptr[(long)Marker], 0xBAD);
            a.retf();
        });

        program.Run();

        AssertTranslated(program, engine);
        Assert.Equal(0ul, program.Read(Marker, 2));
        Assert.Equal(-1, program.LastVector);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void Code_that_runs_over_64_KiB_faults(ExecutionEngine engine)
    {
        using AsmProgram program = Prepare(engine, CpuMode.Real, FarCall(0xFFF0));
        program.Assemble(0x2FFF0, a =>
        {
            Label last = a.CreateLabel();
            a.cmp(cx, 1);
            a.je(last);
            a.retf();
            a.Label(ref last);
            for (int i = 0; i < 10; i++)
            {
                a.nop();
            }
        });
        program.Assemble(0x30000, a => a.retf());

        program.Run();

        AssertTranslated(program, engine);
        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal(0u, program.Read(program.Vcpu.State->Gpr[4] & 0xFFFF, 2)); // IP 1 0000, pushed as 16 bits
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void Jump_behind_the_limit_of_cs_faults_at_the_jump(ExecutionEngine engine)
    {
        // A code segment that ends in the middle of the page that the hot code lies on.
        const uint CodeBytes = 0x200;
        using AsmProgram program = Prepare(engine, CpuMode.Protected, a => a.jmp(AsmProgram.FreeSelector, 0x40));
        program.SetDescriptor(
            AsmProgram.FreeSelector, AsmProgram.Descriptor((uint)AsmProgram.Code, CodeBytes - 1, 0x9B, 0x4));
        program.Assemble(AsmProgram.Code + 0x40, a =>
        {
            Label again = a.CreateLabel();
            a.mov(ecx, Rounds);
            a.Label(ref again);
            a.dec(ecx);
            a.db(0x0F, 0x84); // JE behind the limit
            a.dd(0x300);
            a.jmp(again);
        });
        program.Assemble(AsmProgram.Code + 0x300, a => a.hlt());

        program.Run();

        AssertTranslated(program, engine);
        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal(0x46ul, program.Read(program.Vcpu.State->Gpr[4] + 4, 4));
    }

    // The same bytes, by two values of CS: what they push is an offset in the one that they are called through.
    [Theory]
    [MemberData(nameof(Engines))]
    public void Code_pushes_offsets_of_the_segment_that_it_runs_in(ExecutionEngine engine)
    {
        using AsmProgram program = Prepare(engine, CpuMode.Real, a =>
        {
            Label again = a.CreateLabel();
            a.mov(cx, Rounds);
            a.Label(ref again);
            a.call(0xD00, 0x100);
            a.call(0, 0xD100);
            a.dec(cx);
            a.jne(again);
            a.hlt();
        });
        program.Assemble(0xD100, a =>
        {
            Label inner = a.CreateLabel();
            a.call(inner);
            a.call(0xE00, 0); // interpreted: RIP must be right
            a.retf();
            a.Label(ref inner);
            a.pop(si);
            a.push(si);
            a.add(di, si);
            a.ret();
        });
        program.Assemble(0xE000, a => a.retf());

        program.Run();

        AssertTranslated(program, engine);
        Assert.Equal(Rounds * (0x103ul + 0xD103) % 0x1_0000, program.Vcpu.State->Gpr[7] & 0xFFFF);
    }
}
