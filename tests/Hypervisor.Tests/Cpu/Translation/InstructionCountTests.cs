using System;
using System.Collections.Generic;
using Hypervisor.Cpu;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Translation;

/// <summary>
/// Both engines count the instructions that a program finishes, to the last one: however blocks end, and wherever they
/// are left.
/// </summary>
public sealed unsafe class InstructionCountTests
{
    private const int Rounds = 100; // more than it takes until code is translated
    private const ulong Elsewhere = 0x30000;
    private const ulong Subroutine = Elsewhere + 0x10;
    private const ulong Crossing = Elsewhere + 0xFFC;
    private const ulong LastOfPage = Elsewhere + 0x1FFC;
    private const ulong Data = 0x40000;
    private const ulong Unmapped = 0x80_0000;
    private const int Interrupt = 0x40;

    private static readonly Dictionary<string, Round> s_rounds = new()
    {
        ["nothing"] = new(0, static _ => { }),
        ["straight line"] = new(5, static a => Repeat(5, () => a.inc(rax))),
        ["more than a block"] = new(150, static a => Repeat(150, () => a.inc(rax))),
        ["CPUID, and flags kept"] = new(4, static a =>
        {
            a.inc(rsi);
            a.xor(eax, eax);
            a.cpuid();
            a.mov(ebx, ebp);
        }),
        ["interpreted in the middle"] = new(3, static a =>
        {
            a.inc(rsi);
            a.sgdt(__[0x4000]);
            a.inc(rsi);
        }),
        ["interpreted, ends a block"] = new(4, static a =>
        {
            a.inc(rsi);
            a.mov(rax, cr3);
            a.mov(cr3, rax);
            a.inc(rsi);
        }),
        ["port"] = new(2, static a =>
        {
            a.inc(rsi);
            a.@in(al, 0x61);
        }),
        ["interpreted jump"] = new(5, static a =>
        {
            Label over = a.CreateLabel();
            a.mov(ecx, 3);
            a.test(ecx, ecx);
            a.loopne(over);
            a.Label(ref over);
            a.nop();
            a.nop();
        }),
        ["inner loop"] = new(22, static a =>
        {
            Label again = a.CreateLabel();
            a.mov(ecx, 10);
            a.Label(ref again);
            a.inc(rax);
            a.loop(again);
            a.nop();
        }),
        ["jump taken and not"] = new(5, static a =>
        {
            Label over = a.CreateLabel();
            a.xor(eax, eax);
            a.jne(over);
            a.inc(rax);
            a.jne(over);
            a.ud2();
            a.Label(ref over);
            a.inc(rax);
        }),
        ["jump to another page"] = new(4, static a =>
        {
            Label back = a.CreateLabel();
            a.lea(rdx, __[back]);
            a.jmp(Elsewhere);
            a.Label(ref back);
            a.nop();
        }),
        ["calls and returns"] = new(7, static a =>
        {
            a.call(Subroutine);
            a.mov(eax, (int)Subroutine);
            a.call(rax);
        }),
        ["instruction on two pages"] = new(5, static a => a.call(Crossing)),
        ["page ends"] = new(6, static a => a.call(LastOfPage)),
        ["access flag"] = new(3, static a =>
        {
            a.stac();
            a.inc(rsi);
            a.clac();
        }),
        ["hull over two pages"] = new(4, static a =>
        {
            a.mov(edi, (int)Data + 0x7FC);
            a.inc(rsi);
            a.mov(rax, __[rdi + 0x800]);
            a.mov(rdx, __[rdi + 0x808]);
        }),
        ["store beside code"] = new(2, static a =>
        {
            a.inc(rsi);
            a.mov(__qword_ptr[AsmProgram.Code + 0xF00], rax);
        }),
        ["strings"] = new(10, static a =>
        {
            a.mov(edi, (int)Data);
            a.mov(ecx, 0x100);
            a.rep.stosb();
            a.mov(ecx, 0x2000); // over pages
            a.rep.stosb();
            a.std();
            a.inc(rsi);
            a.stosb();
            a.cld();
            a.nop();
        }),
        ["division"] = new(6, static a =>
        {
            a.mov(edx, 1); // not what the guard passes
            a.xor(eax, eax);
            a.mov(ecx, 7);
            a.inc(rsi);
            a.div(ecx);
            a.inc(rsi);
        }),
        ["interrupts off and on"] = new(3, static a =>
        {
            a.sti();
            a.inc(rsi);
            a.cli();
        }),
        ["software interrupt"] = new(3, static a =>
        {
            a.inc(rsi);
            a.@int(Interrupt);
        }),
        ["undefined"] = new(4, static a =>
        {
            a.inc(rsi);
            a.ud2();
            a.inc(rsi);
        }),
        ["division by zero"] = new(5, static a =>
        {
            a.xor(ecx, ecx);
            a.inc(rsi);
            a.div(ecx);
            a.inc(rsi);
        }),
        ["load faults"] = new(5, static a =>
        {
            a.inc(rsi);
            a.mov(eax, __[r8]);
            a.inc(rsi);
        }),
        ["store faults"] = new(5, static a =>
        {
            a.inc(rsi);
            a.mov(__[r8], eax);
            a.inc(rsi);
        }),
        ["call faults"] = new(5, static a =>
        {
            a.inc(rsi);
            a.call(__qword_ptr[r8]);
            a.inc(rsi);
        }),
        ["jump faults"] = new(5, static a =>
        {
            a.inc(rsi);
            a.jmp(__qword_ptr[r8]);
            a.inc(rsi);
        }),
    };

    public static TheoryData<string> Names => [.. s_rounds.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_finished_instruction_counts_once(string name)
    {
        Round round = s_rounds[name];
        ulong expected = 2 + ((ulong)Rounds * (ulong)(round.Count + 2)) + 1;

        Assert.Equal((ExecutionEngine.Interpreter, expected), Count(ExecutionEngine.Interpreter, round.Write));
        Assert.Equal((ExecutionEngine.Translator, expected), Count(ExecutionEngine.Translator, round.Write));
    }

    private static (ExecutionEngine Engine, ulong Count) Count(ExecutionEngine engine, Action<Assembler> write)
    {
        using var program = new AsmProgram(
            CpuMode.Long,
            a =>
            {
                Label again = a.CreateLabel();
                a.mov(r8d, (int)Unmapped);
                a.mov(r15d, Rounds);
                a.Label(ref again);
                write(a);
                a.dec(r15d);
                a.jne(again);
                a.hlt();
            },
            engine: engine,
            countsInstructions: true);
        WriteSurroundings(program);

        Assert.Equal(VcpuExit.Halted, program.Run());

        Assert.Equal(-1, program.LastVector);
        Assert.Equal(0u, (uint)program.Vcpu.State->Gpr[15]);
        return (engine, program.Vcpu.InstructionCount);
    }

    private static void WriteSurroundings(AsmProgram program)
    {
        program.Assemble(Elsewhere, static a => a.jmp(rdx));
        program.Assemble(Subroutine, static a =>
        {
            a.inc(rax);
            a.ret();
        });
        program.Assemble(Crossing, static a =>
        {
            a.nop();
            a.nop();
            a.mov(rax, 0x1122_3344_5566_7788);
            a.ret();
        });
        program.Assemble(LastOfPage, static a =>
        {
            Repeat(4, a.nop);
            a.ret();
        });
        program.Assemble(AsmProgram.Handler(Interrupt), static a => a.iretq());
        Skip(program, vector: 0, instructionBytes: 2, hasError: false);
        Skip(program, vector: 6, instructionBytes: 2, hasError: false);
        Skip(program, vector: 14, instructionBytes: 3, hasError: true);
    }

    // The handler goes on behind what faulted.
    private static void Skip(AsmProgram program, int vector, int instructionBytes, bool hasError)
        => program.Assemble(AsmProgram.Handler(vector), a =>
        {
            if (hasError)
            {
                a.add(rsp, 8);
            }

            a.add(__qword_ptr[rsp], instructionBytes);
            a.iretq();
        });

    private static void Repeat(int times, Action write)
    {
        for (int i = 0; i < times; i++)
        {
            write();
        }
    }

    // What a round does, and how many instructions that is.
    private sealed record Round(int Count, Action<Assembler> Write);
}
