using System;
using Hypervisor.Cpu;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Translation;

/// <summary>Programs of 16 and 32 bits that become hot.</summary>
internal static class LegacyProgram
{
    /// <summary>Enough for a loop to be translated.</summary>
    internal const int Rounds = 100;

    /// <summary>Where data are.</summary>
    internal const ulong Marker = AsmProgram.Data;

    /// <summary>In real mode: at 20000.</summary>
    internal const ushort FarSegment = 0x2000;

    /// <summary>Both.</summary>
    internal static TheoryData<ExecutionEngine> Engines => [ExecutionEngine.Interpreter, ExecutionEngine.Translator];

    // Rounds with one value in EBX, and then one with another.
    internal static void Loop(Assembler a, uint usual, uint last, Action body)
    {
        Label again = a.CreateLabel();
        a.mov(ecx, Rounds);
        a.mov(ebx, usual);
        a.Label(ref again);
        body();
        a.dec(ecx);
        a.jg(again);
        a.mov(ebx, last);
        a.cmp(ecx, -1);
        a.jne(again);
        a.hlt();
    }

    internal static Action<Assembler> FarCall(uint offset) => a =>
    {
        Label again = a.CreateLabel();
        a.mov(cx, Rounds);
        a.Label(ref again);
        a.call(FarSegment, offset);
        a.dec(cx);
        a.jne(again);
        a.hlt();
    };

    internal static AsmProgram Run(ExecutionEngine engine, CpuMode mode, Action<Assembler> write)
    {
        AsmProgram program = Prepare(engine, mode, write);
        program.Run();
        AssertTranslated(program, engine);
        return program;
    }

    // 32-bit code under a 64-bit kernel, with the addresses of the marker in EBX and EDI, and more above them.
    internal static AsmProgram PrepareCompatible(ExecutionEngine engine, Action<Assembler> write)
    {
        AsmProgram program = Prepare(engine, CpuMode.Long, a =>
        {
            a.mov(rbx, 0xFFFF_0000_0000_0000 | Marker);
            a.mov(rdi, 0xFFFF_0000_0000_0000 | (Marker + 0x100));
            a.push(AsmProgram.Code32);
            a.push((int)AsmProgram.UserCode);
            a.db(0x48, 0xCB); // RETF
        });
        program.Assemble(
            AsmProgram.UserCode,
            a =>
            {
                a.mov(edx, AsmProgram.Data0);
                a.mov(ds, dx);
                a.mov(es, dx);
                a.mov(ss, dx);
                write(a);
            },
            bits: 32);
        return program;
    }

    internal static AsmProgram Prepare(ExecutionEngine engine, CpuMode mode, Action<Assembler> write)
        => new(mode, write, engine: engine);

    internal static void AssertTranslated(AsmProgram program, ExecutionEngine engine)
    {
        Assert.SkipWhen(
            engine == ExecutionEngine.Translator && program.Vcpu.Translator is null, "this host has no BMI2 or AVX2");
        Assert.Equal(engine == ExecutionEngine.Translator, program.Vcpu.Statistics.TranslatedBlocks > 0);
    }
}
