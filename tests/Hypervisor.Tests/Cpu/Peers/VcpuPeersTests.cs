using System;
using System.Threading;
using Hypervisor.Core.Memory;
using Hypervisor.Cpu;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Peers;

public sealed unsafe class VcpuPeersTests
{
    private const int CallsUntilHot = 40; // more than the translator wants to see
    private const ulong PeerCode = 0x2_0000;
    private const ulong PeerStack = 0x2_2000;
    private const int Flags = 0x2_3000;
    private const ulong Pages = 0x10_0000;
    private const int PageCount = 128;
    private const long DataPage = (long)AsmProgram.Data / PageKernels.PageBytes;
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(1);

    [Theory]
    [InlineData(ExecutionEngine.Interpreter)]
    [InlineData(ExecutionEngine.Translator)]
    public void Code_written_by_another_vcpu_is_seen_at_the_next_block(ExecutionEngine engine)
    {
        using AsmProgram program = CallData(engine, a => a.hlt());
        Vcpu peer = program.AddPeer(PeerCode, PeerStack, a =>
        {
            CallUntilHot(a);
            a.mov(__byte_ptr[(int)AsmProgram.Data + 1], 2);
            a.hlt();
        });
        Assert.Equal(VcpuExit.Halted, program.Run());
        Assert.Equal(1ul, program.Vcpu.State->Gpr[0]);

        Assert.Equal(VcpuExit.Halted, peer.Run());
        program.Vcpu.State->Rip = AsmProgram.Code;
        program.Vcpu.State->Activity = 0;
        Assert.Equal(VcpuExit.Halted, program.Run());

        Assert.Equal(2ul, program.Vcpu.State->Gpr[0]);
    }

    // The storing vCPU has the page's write tag armed before the other one reads code there, and stays in Run.
    [Theory]
    [InlineData(ExecutionEngine.Interpreter)]
    [InlineData(ExecutionEngine.Translator)]
    public void Store_through_an_armed_tag_is_seen_by_who_decodes_later(ExecutionEngine engine)
    {
        using AsmProgram program = CallData(engine, before: a => Await(a, 1), after: a =>
        {
            Announce(a, 2);
            Await(a, 3);
            a.xor(eax, eax);
            a.cpuid();
            a.call(AsmProgram.Data);
            a.hlt();
        });
        Vcpu peer = program.AddPeer(PeerCode, PeerStack, a =>
        {
            a.mov(__byte_ptr[(int)AsmProgram.Data + 0x800], 1);
            a.mov(__byte_ptr[(int)AsmProgram.Data + 0x800], 2);
            Announce(a, 1);
            Await(a, 2);
            a.mov(__byte_ptr[(int)AsmProgram.Data + 1], 2);
            Announce(a, 3);
            a.hlt();
        });

        RunBoth(program.Vcpu, peer);

        Assert.Equal(2ul, program.Vcpu.State->Gpr[0]);
    }

    [Theory]
    [InlineData(ExecutionEngine.Interpreter)]
    [InlineData(ExecutionEngine.Translator)]
    public void Store_of_a_vcpu_that_was_halted_meanwhile_is_seen(ExecutionEngine engine)
    {
        using AsmProgram program = CallData(engine, a => a.hlt());
        Vcpu peer = program.AddPeer(PeerCode, PeerStack, a =>
        {
            a.mov(__byte_ptr[(int)AsmProgram.Data + 0x800], 1);
            a.mov(__byte_ptr[(int)AsmProgram.Data + 0x800], 2);
            a.hlt();
            a.mov(__byte_ptr[(int)AsmProgram.Data + 1], 2);
            a.hlt();
        });
        peer.Run();
        program.Run();

        peer.State->Activity = 0;
        peer.Run();
        program.Vcpu.State->Rip = AsmProgram.Code;
        program.Vcpu.State->Activity = 0;
        program.Run();

        Assert.Equal(2ul, program.Vcpu.State->Gpr[0]);
    }

    [Fact]
    public void Page_is_code_until_its_last_holder_dropped_it()
    {
        using AsmProgram program = CallData(ExecutionEngine.Interpreter, a => a.hlt());
        Vcpu peer = program.AddPeer(PeerCode, PeerStack, a =>
        {
            CallUntilHot(a);
            a.mov(__byte_ptr[(int)AsmProgram.Data + 1], 2);
            a.hlt();
        });
        program.Run();
        peer.Run();
        PageState afterStore = IsCode(program);

        program.Vcpu.State->Rip = AsmProgram.Handler(0); // a HLT, far from Data
        program.Vcpu.State->Activity = 0;
        program.Run();

        Assert.Equal(PageState.Code, afterStore);
        Assert.Equal(PageState.Clean, IsCode(program));
    }

    [Fact]
    public void Beginning_to_hold_code_disarms_the_write_tags_of_all()
    {
        using AsmProgram program = CallData(ExecutionEngine.Interpreter, a => a.hlt());
        Vcpu peer = program.AddPeer(PeerCode, PeerStack, a =>
        {
            a.mov(__byte_ptr[(int)AsmProgram.Data + 0x800], 1);
            a.mov(__byte_ptr[(int)AsmProgram.Data + 0x800], 2);
            a.hlt();
            a.hlt();
        });
        peer.Run();
        byte* armed = peer.Mmu.TryPiece(AsmProgram.Data, 1, isWrite: true);

        program.Run();
        peer.State->Activity = 0;
        peer.Run();

        Assert.True(armed != null);
        Assert.True(peer.Mmu.TryPiece(AsmProgram.Data, 1, isWrite: true) == null);
    }

    // The page is held already, so nothing but the announcement says that a store is under way.
    [Fact]
    public void Announced_store_lands_before_its_line_is_decoded()
    {
        using AsmProgram program = CallData(ExecutionEngine.Interpreter, a =>
        {
            a.hlt();
            a.call(AsmProgram.Data + 0x100);
            a.hlt();
        });
        program.Assemble(AsmProgram.Data + 0x100, a =>
        {
            a.mov(eax, 1);
            a.ret();
        });
        program.Run();
        program.Ram.PrepareWrite((long)AsmProgram.Data + 0x101, 1);
        program.Bus.OnSynchronize = () => program.Ram.Base[AsmProgram.Data + 0x101] = 2;

        program.Vcpu.State->Activity = 0;
        program.Run();

        Assert.Equal(2ul, program.Vcpu.State->Gpr[0]);
    }

    [Theory]
    [InlineData(ExecutionEngine.Interpreter)]
    [InlineData(ExecutionEngine.Translator)]
    public void Nobody_runs_while_one_is_alone(ExecutionEngine engine)
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            Label again = a.CreateLabel();
            a.Label(ref again);
            a.inc(__qword_ptr[Flags]);
            a.jmp(again);
        }, engine: engine);
        bool isEnded = false;
        var thread = new Thread(() =>
        {
            while (!Volatile.Read(ref isEnded))
            {
                program.Vcpu.Run();
            }
        });
        thread.Start();
        int moved = 0;
        for (int round = 0; round < 200; round++)
        {
            ulong started = program.Read(Flags, 8);
            SpinWait.SpinUntil(() => program.Read(Flags, 8) != started);
            program.Vcpu.Peers.RunAlone(() =>
            {
                ulong first = program.Read(Flags, 8);
                Thread.SpinWait(1000);
                moved += program.Read(Flags, 8) != first ? 1 : 0;
            });
        }

        Volatile.Write(ref isEnded, true);
        program.Vcpu.RequestExit();
        thread.Join();
        Assert.Equal(0, moved);
    }

    // Each writes a function and calls it, in the same pages but on lines of its own, as fast as it can.
    [Theory]
    [InlineData(ExecutionEngine.Interpreter)]
    [InlineData(ExecutionEngine.Translator)]
    public void Vcpus_that_wait_for_each_other_go_on(ExecutionEngine engine)
    {
        using var program = new AsmProgram(CpuMode.Long, a => PatchAndCall(a, line: 0), engine: engine);
        Vcpu peer = program.AddPeer(PeerCode, PeerStack, a => PatchAndCall(a, line: 0x200));

        RunBoth(program.Vcpu, peer);

        Assert.Equal(0ul, program.Vcpu.State->Gpr[7]);
        Assert.Equal(0ul, peer.State->Gpr[7]);
    }

    // EDI counts the calls that did not give what was written just before.
    private static void PatchAndCall(Assembler a, int line)
    {
        Label round = a.CreateLabel();
        Label next = a.CreateLabel();
        Label good = a.CreateLabel();
        a.xor(edi, edi);
        a.mov(r12d, 20);
        a.Label(ref round);
        a.mov(ebx, (int)Pages + line);
        a.Label(ref next);
        a.mov(__dword_ptr[rbx + 1], r12d);
        a.mov(__byte_ptr[rbx + 5], 0xC3); // RET
        a.mov(__byte_ptr[rbx], 0xB8);     // MOV EAX, the number above
        a.call(rbx);
        a.cmp(eax, r12d);
        a.je(good);
        a.inc(edi);
        a.Label(ref good);
        a.add(ebx, PageKernels.PageBytes);
        a.cmp(ebx, (int)Pages + (PageCount * PageKernels.PageBytes));
        a.jb(next);
        a.dec(r12d);
        a.jnz(round);
        a.hlt();
    }

    private static PageState IsCode(AsmProgram program)
        => (PageState)program.Ram.States[DataPage] & PageState.Code;

    // EAX: what a function at Data gives, 1 at first.
    private static AsmProgram CallData(
        ExecutionEngine engine, Action<Assembler> after, Action<Assembler>? before = null)
    {
        var program = new AsmProgram(CpuMode.Long, a =>
        {
            before?.Invoke(a);
            CallUntilHot(a);
            after(a);
        }, engine: engine);
        program.Assemble(AsmProgram.Data, a =>
        {
            a.mov(eax, 1);
            a.ret();
        });
        return program;
    }

    private static void CallUntilHot(Assembler a)
    {
        Label again = a.CreateLabel();
        a.mov(r13d, CallsUntilHot);
        a.Label(ref again);
        a.call(AsmProgram.Data);
        a.dec(r13d);
        a.jnz(again);
    }

    private static void Announce(Assembler a, int step) => a.mov(__byte_ptr[Flags + step], 1);

    private static void Await(Assembler a, int step)
    {
        Label again = a.CreateLabel();
        a.Label(ref again);
        a.pause();
        a.cmp(__byte_ptr[Flags + step], 0);
        a.je(again);
    }

    internal static void RunBoth(Vcpu first, Vcpu second)
    {
        var thread = new Thread(() => second.Run()) { IsBackground = true };
        var other = new Thread(() => first.Run()) { IsBackground = true };
        thread.Start();
        other.Start();
        bool isEnded = thread.Join(s_limit) & other.Join(s_limit);
        Assert.True(isEnded, "a vCPU hangs");
    }
}
