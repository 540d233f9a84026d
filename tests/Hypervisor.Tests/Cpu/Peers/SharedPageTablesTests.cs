using System.Threading;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Peers;

public sealed unsafe class SharedPageTablesTests
{
    private const int Page = 0x3_0000;
    private const int StopFlag = 0x2_3000;
    private const int Rounds = 300_000;
    private const ulong Entry = AsmProgram.PageTable + (Page >> 12 << 3);
    private const ulong Present = Page | 3;

    // As a kernel takes a page away: what it reads back with the exchange is all that was ever marked.
    [Fact]
    public void Accessed_and_dirty_bits_are_not_set_in_an_entry_that_was_taken_away()
    {
        using AsmProgram program = Toucher();
        program.Write64(Entry, Present);
        var vcpu = new Thread(() => program.Vcpu.Run()) { IsBackground = true };
        ref ulong entry = ref *(ulong*)(program.Ram.Base + Entry);
        int wrong = 0;
        int marked = 0;
        vcpu.Start();
        for (int round = 0; round < Rounds; round++)
        {
            Volatile.Write(ref entry, Present);
            Thread.SpinWait(round % 32); // so that the entry goes at every moment of a walk
            marked += Interlocked.Exchange(ref entry, 0) != Present ? 1 : 0;
            Thread.SpinWait(8);
            wrong += Volatile.Read(ref entry) != 0 ? 1 : 0;
        }

        Volatile.Write(ref entry, Present);
        program.Ram.Base[StopFlag] = 1;
        vcpu.Join();

        Assert.Equal(0, wrong);
        Assert.True(marked > 0, "the two never met");
    }

    // Stores to the page over and over, through a walk each time; a page fault tries again.
    private static AsmProgram Toucher()
    {
        var program = new AsmProgram(CpuMode.Long, a =>
        {
            Label again = a.CreateLabel();
            a.Label(ref again);
            a.invlpg(__[Page]);
            a.mov(__dword_ptr[Page], eax);
            a.cmp(__byte_ptr[StopFlag], 0);
            a.je(again);
            a.hlt();
        });
        program.SetGate(14, AsmProgram.Code64, AsmProgram.Data, type: 14);
        program.Assemble(AsmProgram.Data, a =>
        {
            a.add(rsp, 8);
            a.iretq();
        });
        return program;
    }
}
