using Hypervisor.Cpu;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Translation;

/// <summary>Direct jumps to another page go to the page that is there for who jumps, and now.</summary>
public sealed unsafe class FarLinkTests
{
    private const ulong PageBytes = 0x1000;
    private const ulong First = 0x10_0000;
    private const ulong Second = 0x11_0000;
    private const int Rounds = 200;

    [Theory]
    [InlineData(ExecutionEngine.Interpreter)]
    [InlineData(ExecutionEngine.Translator)]
    public void Page_that_is_mapped_twice_jumps_to_each_ones_neighbour(ExecutionEngine engine)
    {
        using AsmProgram program = Build(engine, a =>
        {
            a.mov(esi, (uint)First);
            a.call(rsi);
            a.mov(esi, (uint)Second);
            a.call(rsi);
        });

        program.Run();

        Assert.Equal(101ul * Rounds, program.Vcpu.State->Gpr[3]);
    }

    [Theory]
    [InlineData(ExecutionEngine.Interpreter)]
    [InlineData(ExecutionEngine.Translator)]
    public void Neighbour_that_is_mapped_elsewhere_is_jumped_to_there(ExecutionEngine engine)
    {
        ulong entry = EntryOf(First + PageBytes);
        using AsmProgram program = Build(engine, a =>
        {
            a.mov(esi, (uint)First);
            a.call(rsi);
            a.xor(__dword_ptr[entry], (uint)(First ^ Second)); // the other neighbour
            a.invlpg(__byte_ptr[First + PageBytes]);
        });

        program.Run();

        Assert.Equal(101ul * Rounds / 2, program.Vcpu.State->Gpr[3]);
    }

    // The page at First jumps to the next one, which adds 1; it is at Second too, where the next one adds 100.
    private static AsmProgram Build(ExecutionEngine engine, System.Action<Assembler> body)
    {
        var program = new AsmProgram(
            CpuMode.Long,
            a =>
            {
                Label again = a.CreateLabel();
                a.xor(ebx, ebx);
                a.mov(ebp, Rounds);
                a.Label(ref again);
                body(a);
                a.dec(ebp);
                a.jne(again);
                a.hlt();
            },
            engine: engine);
        program.Assemble(First, a => a.jmp(First + PageBytes));
        program.Assemble(First + PageBytes, a =>
        {
            a.add(ebx, 1);
            a.ret();
        });
        program.Assemble(Second + PageBytes, a =>
        {
            a.add(ebx, 100);
            a.ret();
        });
        ulong entry = program.Read(EntryOf(Second), 8);
        program.Write64(EntryOf(Second), (entry & (PageBytes - 1)) | First);
        return program;
    }

    private static ulong EntryOf(ulong linear) => AsmProgram.PageTable + (linear / PageBytes * 8);
}
