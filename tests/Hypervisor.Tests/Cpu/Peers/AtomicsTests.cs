using System;
using Hypervisor.Cpu;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Peers;

/// <summary>Two vCPUs change one word of RAM a million times each: no change may get lost.</summary>
public sealed unsafe class AtomicsTests
{
    private const int Rounds = 1_000_000;
    private const int Word = 0x2_4000;
    private const int Gate = 0x2_4100;
    private const ulong PeerCode = 0x2_0000;
    private const ulong PeerStack = 0x2_2000;

    public static TheoryData<ExecutionEngine, string> Cases
    {
        get
        {
            var cases = new TheoryData<ExecutionEngine, string>();
            foreach (ExecutionEngine engine in Enum.GetValues<ExecutionEngine>())
            {
                foreach (string name in (string[])["inc", "add", "sub", "xadd", "cmpxchg", "cmpxchg8b", "cmpxchg16b",
                    "bts", "btr", "xchg"])
                {
                    cases.Add(engine, name);
                }
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void No_update_is_lost(ExecutionEngine engine, string name)
    {
        using var program = new AsmProgram(CpuMode.Long, a => Loop(a, name), engine: engine);
        Vcpu peer = program.AddPeer(PeerCode, PeerStack, a => Loop(a, name));
        program.Write64(Gate, name == "btr" ? 1ul : 0);

        VcpuPeersTests.RunBoth(program.Vcpu, peer);

        ulong expected = name == "sub" ? unchecked(0 - (2ul * Rounds)) : 2ul * Rounds;
        Assert.Equal(expected, program.Read(Word, 8));
        Assert.Equal(name == "cmpxchg16b" ? expected : 0, program.Read(Word + 8, 8));
    }

    private static void Loop(Assembler a, string name)
    {
        Label round = a.CreateLabel();
        Label retry = a.CreateLabel();
        a.mov(r12d, Rounds);
        a.Label(ref round);
        switch (name)
        {
            case "inc":
                a.@lock.inc(__qword_ptr[Word]);
                break;
            case "add":
                a.@lock.add(__qword_ptr[Word], 1);
                break;
            case "sub":
                a.@lock.sub(__qword_ptr[Word], 1);
                break;
            case "xadd":
                a.mov(edx, 1);
                a.@lock.xadd(__qword_ptr[Word], rdx);
                break;
            case "cmpxchg":
                a.mov(rax, __qword_ptr[Word]);
                a.Label(ref retry);
                a.lea(rdx, __[rax + 1]);
                a.@lock.cmpxchg(__qword_ptr[Word], rdx);
                a.jne(retry);
                break;
            case "cmpxchg8b":
                a.mov(eax, __dword_ptr[Word]);
                a.mov(edx, __dword_ptr[Word + 4]);
                a.Label(ref retry);
                a.mov(ebx, eax);
                a.mov(ecx, edx);
                a.add(ebx, 1);
                a.adc(ecx, 0);
                a.@lock.cmpxchg8b(__qword_ptr[Word]);
                a.jne(retry);
                break;
            case "cmpxchg16b":
                a.mov(rax, __qword_ptr[Word]);
                a.mov(rdx, __qword_ptr[Word + 8]);
                a.Label(ref retry);
                a.lea(rbx, __[rax + 1]);
                a.lea(rcx, __[rdx + 1]);
                a.@lock.cmpxchg16b(__xmmword_ptr[Word]);
                a.jne(retry);
                break;
            default:
                GuardedIncrement(a, name, ref retry);
                break;
        }

        a.dec(r12d);
        a.jnz(round);
        a.hlt();
    }

    // The word itself is changed without LOCK: the gate lets one vCPU in at a time.
    private static void GuardedIncrement(Assembler a, string name, ref Label retry)
    {
        Label isIn = a.CreateLabel();
        a.nop(); // an instruction bears one label, and this one has the round's
        a.Label(ref retry);
        switch (name)
        {
            case "bts":
                a.@lock.bts(__dword_ptr[Gate], 0);
                a.jnc(isIn);
                break;
            case "btr":
                a.@lock.btr(__dword_ptr[Gate], 0);
                a.jc(isIn);
                break;
            default:
                a.mov(eax, 1);
                a.xchg(__dword_ptr[Gate], eax);
                a.test(eax, eax);
                a.je(isIn);
                break;
        }

        a.pause();
        a.jmp(retry);
        a.Label(ref isIn);
        a.inc(__qword_ptr[Word]);
        a.mov(__dword_ptr[Gate], name == "btr" ? 1 : 0);
    }
}
