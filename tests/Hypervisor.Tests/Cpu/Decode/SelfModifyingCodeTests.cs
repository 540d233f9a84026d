using System.Threading;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Decode;

public sealed unsafe class SelfModifyingCodeTests
{
    [Fact]
    public void Store_to_the_next_instruction_of_the_same_block_is_seen()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            Label next = a.CreateLabel();
            a.mov(ecx, 0);
            a.mov(__dword_ptr[next], 0x0000_07B8); // MOV EAX, 7
            a.Label(ref next);
            a.mov(eax, 1);
            a.hlt();
        });

        program.Run();

        Assert.Equal(7ul, program.Vcpu.State->Gpr[0]);
    }

    [Fact]
    public void Store_to_code_that_ran_is_seen_when_it_runs_again()
    {
        using AsmProgram program = CallTwice(a => a.mov(__byte_ptr[(int)AsmProgram.Data + 1], 2));

        program.Run();

        Assert.Equal(3ul, program.Vcpu.State->Gpr[3]);
    }

    [Fact]
    public void Code_written_through_another_mapping_of_its_page_is_seen()
    {
        using AsmProgram program = CallTwice(a => a.mov(__byte_ptr[0x30001], 2));
        program.Write64(AsmProgram.PageTable + (0x30 * 8), AsmProgram.Data | 7);

        program.Run();

        Assert.Equal(3ul, program.Vcpu.State->Gpr[3]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Code_written_by_a_device_is_seen(bool byOtherThread)
    {
        using AsmProgram program = CallTwice(a => a.@out(0x80, al));
        program.Bus.OnPortWrite = () =>
        {
            if (byOtherThread)
            {
                var thread = new Thread(Store);
                thread.Start();
                thread.Join();
            }
            else
            {
                Store();
            }
        };

        program.Run();

        Assert.Equal(3ul, program.Vcpu.State->Gpr[3]);

        void Store() => Assert.True(program.Ram.TryWrite(AsmProgram.Data + 1, [2]));
    }

    // EBX: the sum of what a function at Data gives before and after a change.
    private static AsmProgram CallTwice(System.Action<Assembler> change)
    {
        var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.call(AsmProgram.Data);
            a.add(ebx, eax);
            change(a);
            a.call(AsmProgram.Data);
            a.add(ebx, eax);
            a.hlt();
        });
        program.Assemble(AsmProgram.Data, a =>
        {
            a.mov(eax, 1);
            a.ret();
        });
        return program;
    }
}
