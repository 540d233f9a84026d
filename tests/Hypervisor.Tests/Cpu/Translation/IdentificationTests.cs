using System.Linq;
using Hypervisor.Cpu;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Translation;

/// <summary>CPUID in translated code, which answers from a table, against the interpreter's answers.</summary>
public sealed unsafe class IdentificationTests
{
    private const int Passes = 64; // the first ones are interpreted
    private const int QuestionBytes = 16;
    private const uint OsXsave = 1 << 27;

    // Leaf and subleaf; some share a slot, some depend on control registers.
    private static readonly ulong[] s_questions =
    [
        0, 0, 1, 0, 2, 0, 4, 0, 4, 1, 4, 2, 4, 3, 5, 0, 6, 0, 7, 0, 7, 2, 0xB, 0, 0xB, 1, 0xD, 0, 0xD, 1, 0xD, 2,
        0x15, 0, 0x16, 0, 0x99, 0, 0x4000_0000, 0, 0x4000_0010, 0, 0x8000_0000, 0, 0x8000_0001, 0, 0x8000_0002, 0,
        0x8000_0006, 0, 0x8000_0008, 0, 0x4, 0x1000_0000, 0x10, 4, 0, 0x1_0000_0000,
    ];

    [Fact]
    public void Every_answer_is_the_interpreters_and_flags_stay()
    {
        using var program = new AsmProgram(CpuMode.Long, WriteQuestions, engine: ExecutionEngine.Translator);
        program.Write64(AsmProgram.Data, s_questions);

        program.Run();

        Assert.Equal(-1, program.LastVector);
        ulong interpreted = program.Vcpu.Statistics.Interpreted.Single(one => one.Encoding == "Cpuid").Count;
        Assert.InRange(interpreted, 1ul, (ulong)(s_questions.Length * Passes / 3));
        ulong first = program.Read(AsmProgram.Data + 0x1000, 8);
        for (int pass = 1; pass < Passes; pass++)
        {
            Assert.Equal(first, program.Read(AsmProgram.Data + 0x1000 + (8 * (ulong)pass), 8));
        }
    }

    [Fact]
    public void Leaf_that_mirrors_a_control_register_follows_it()
    {
        using var program = new AsmProgram(CpuMode.Long, Write, engine: ExecutionEngine.Translator);

        program.Run();

        Assert.Equal(OsXsave, (uint)program.Vcpu.State->Gpr[6] & OsXsave);
        Assert.Equal(0u, (uint)program.Vcpu.State->Gpr[7] & OsXsave);

        // The last answer in EDI, the one before, with the other value of CR4.OSXSAVE, in ESI.
        static void Write(Assembler a)
        {
            Label again = a.CreateLabel();
            a.mov(ebp, Passes);
            a.Label(ref again);
            a.mov(rax, cr4);
            a.xor(eax, 0x4_0000);
            a.mov(cr4, rax);
            a.mov(esi, edi);
            a.mov(eax, 1);
            a.xor(ecx, ecx);
            a.cpuid();
            a.mov(edi, ecx);
            a.dec(ebp);
            a.jne(again);
            a.hlt();
        }
    }

    // For each pass a hash of all answers, of the upper halves and of the flags.
    private static void WriteQuestions(Assembler a)
    {
        Label pass = a.CreateLabel();
        Label question = a.CreateLabel();
        a.xor(ebp, ebp);
        a.Label(ref pass);
        a.mov(esi, (uint)AsmProgram.Data);
        a.mov(edi, s_questions.Length * 8 / QuestionBytes);
        a.xor(r8d, r8d);
        a.Label(ref question);
        a.mov(rax, __[rsi]);
        a.mov(rcx, __[rsi + 8]);
        a.mov(rdx, -1L);
        a.mov(rbx, -1L);
        a.cmp(edi, 7);
        a.stc();
        a.cpuid();
        foreach (AssemblerRegister64 register in (AssemblerRegister64[])[rax, rbx, rcx, rdx])
        {
            a.lea(r8, r8 + register);
            a.rorx(r8, r8, 13);
        }

        a.pushfq();
        a.pop(rax);
        a.add(r8, rax);
        a.add(rsi, QuestionBytes);
        a.dec(edi);
        a.jne(question);
        a.mov(__[(rbp * 8) + (int)(AsmProgram.Data + 0x1000)], r8);
        a.inc(ebp);
        a.cmp(ebp, Passes);
        a.jne(pass);
        a.hlt();
    }
}
