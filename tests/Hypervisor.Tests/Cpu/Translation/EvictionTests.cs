using Hypervisor.Cpu;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Translation;

/// <summary>A program that is much larger than the translation cache.</summary>
public sealed unsafe class EvictionTests
{
    private const ulong Functions = 0x10_0000;
    private const ulong Common = 0xE000;
    private const int FunctionBytes = 61; // some instructions cross pages
    private const int FunctionCount = 600;
    private const int Calls = 40_000;
    private const long Multiplier = 0x5851_F42D_4C95_7F2D;
    private const int Distance = 27;
    private const int PatchOffset = 9; // of the immediate in a function
    private const int PatchEvery = 16;
    private const long SmallCache = 512 << 10;
    private const long LargeCache = 128L << 20;

    [Fact]
    public void Program_larger_than_the_cache_runs_as_on_the_interpreter()
    {
        using AsmProgram expected = Run(ExecutionEngine.Interpreter, SmallCache);
        using AsmProgram evicting = Run(ExecutionEngine.Translator, SmallCache);
        using AsmProgram roomy = Run(ExecutionEngine.Translator, LargeCache);

        Assert.True(evicting.Vcpu.Statistics.Evictions > 100);
        Assert.Equal(0ul, roomy.Vcpu.Statistics.Evictions);
        for (int register = 0; register < 16; register++)
        {
            Assert.Equal(expected.Vcpu.State->Gpr[register], evicting.Vcpu.State->Gpr[register]);
            Assert.Equal(expected.Vcpu.State->Gpr[register], roomy.Vcpu.State->Gpr[register]);
        }
    }

    // Calls functions at random; now and then it changes the code of one first.
    private static AsmProgram Run(ExecutionEngine engine, long cacheBytes)
    {
        var program = new AsmProgram(CpuMode.Long, Write, engine: engine, codeCacheBytes: cacheBytes);
        program.Assemble(Common, a =>
        {
            a.lea(rbx, __[rbx + (rbx * 8) + 1]);
            a.ret();
        });
        for (int i = 0; i < FunctionCount; i++)
        {
            program.Assemble(Functions + (ulong)(i * FunctionBytes), a => WriteFunction(a, i));
        }

        program.Run();
        Assert.Equal(-1, program.LastVector);
        return program;
    }

    private static void Write(Assembler a)
    {
        Label again = a.CreateLabel();
        Label same = a.CreateLabel();
        a.mov(edi, Calls);
        a.mov(r9, Multiplier);
        a.mov(r8d, 1);
        a.Label(ref again);
        a.imul(r8, r9);
        a.inc(r8);
        a.mov(edx, FunctionCount);
        a.mulx(rsi, rcx, r8); // a number below FunctionCount
        a.imul(rsi, rsi, FunctionBytes);
        a.add(rsi, (int)Functions);
        a.test(edi, PatchEvery - 1);
        a.jne(same);
        a.mov(__dword_ptr[rsi + PatchOffset], edi);
        a.Label(ref same);
        a.call(rsi);
        a.dec(edi);
        a.jne(again);
        a.hlt();
    }

    private static void WriteFunction(Assembler a, int number)
    {
        Label even = a.CreateLabel();
        a.test(ebx, 1);
        a.db(0x48, 0x81, 0xC3); // ADD RBX, imm32
        a.dd((uint)number * 0x9E37_79B1);
        a.je(even);
        a.call(Common);
        a.Label(ref even);
        a.push(rbx);
        a.rol(rbx, 5);
        a.pop(rcx);
        a.xor(rbx, rcx);
        if (number + Distance < FunctionCount)
        {
            a.test(bl, 3);
            a.je(Functions + (ulong)((number + Distance) * FunctionBytes)); // goes on there, on the same page mostly
        }

        a.ret();
    }
}
