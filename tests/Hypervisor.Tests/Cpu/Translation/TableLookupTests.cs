using Hypervisor.Cpu;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Translation;

/// <summary>
/// An entry of a table whose index was a byte is looked for on the page of the table's start; a table may go on where
/// the next page is mapped, though.
/// </summary>
public sealed unsafe class TableLookupTests
{
    private const ulong PageBytes = 0x1000;
    private const ulong First = 0x10_0000;
    private const ulong Elsewhere = 0x12_0000;
    private const uint Step = 7;
    private const int Entries = 256;
    private const int Rounds = 200; // cold code is interpreted

    [Theory]
    [InlineData(ExecutionEngine.Interpreter, 0xC00)] // all on one page
    [InlineData(ExecutionEngine.Translator, 0xC00)]
    [InlineData(ExecutionEngine.Interpreter, 0xE02)] // an entry lies on both
    [InlineData(ExecutionEngine.Translator, 0xE02)]
    [InlineData(ExecutionEngine.Translator, 0xFFC)]
    public void Entry_is_found_on_either_page(ExecutionEngine engine, uint offset)
    {
        ulong table = First + offset;
        using var program = new AsmProgram(
            CpuMode.Long,
            a =>
            {
                Label fill = a.CreateLabel();
                Label look = a.CreateLabel();
                a.mov(rdi, table);
                a.mov(rsi, table - 0x40);
                a.xor(eax, eax);
                a.Label(ref fill); // entry n is n * Step
                a.imul(edx, eax, (int)Step);
                a.mov(__dword_ptr[rdi], edx);
                a.add(rdi, 4);
                a.inc(eax);
                a.cmp(eax, Entries);
                a.jne(fill);
                a.mov(rdi, table);
                a.xor(eax, eax);
                a.xor(ebx, ebx);
                a.Label(ref look); // from there n * Step + 1, summed up
                a.movzx(ecx, al);
                a.add(__dword_ptr[rdi + (rcx * 4)], 1);
                a.add(ebx, __dword_ptr[rsi + (rcx * 4) + 0x40]);
                a.inc(eax);
                a.cmp(eax, Entries);
                a.jne(look);
                a.hlt();
            },
            engine: engine);
        MapSecondElsewhere(program);

        program.Run();

        Assert.Equal((ulong)(Step * Entries * (Entries - 1) / 2) + Entries, program.Vcpu.State->Gpr[3]);
    }

    [Theory]
    [InlineData("sub")]
    [InlineData("dec")]
    [InlineData("lea")]
    [InlineData("mov")]
    [InlineData("neg")]
    [InlineData("pop")]
    public void Index_that_is_no_byte_any_more_may_lie_below(string change)
    {
        using var program = new AsmProgram(
            CpuMode.Long,
            a =>
            {
                Label again = a.CreateLabel();
                a.mov(ebp, Rounds);
                a.Label(ref again);
                a.mov(edi, (uint)(First + PageBytes));
                a.mov(__dword_ptr[rdi - 2], 0x11223344); // on both pages
                a.mov(__dword_ptr[rdi], 0x55661122);
                a.mov(edx, 2);
                a.neg(rdx);
                a.push(rdx);
                a.mov(eax, change == "neg" ? 2u : 0);
                a.movzx(ecx, al);
                switch (change)
                {
                    case "sub":
                        a.sub(rcx, 2);
                        break;
                    case "dec":
                        a.dec(rcx);
                        a.dec(rcx);
                        break;
                    case "lea":
                        a.lea(rcx, __[rcx - 2]);
                        break;
                    case "mov":
                        a.mov(rcx, rdx);
                        break;
                    case "neg":
                        a.neg(rcx);
                        break;
                    default:
                        a.pop(rcx);
                        break;
                }

                a.mov(ebx, __dword_ptr[rdi + rcx]);
                a.dec(ebp);
                a.jne(again);
                a.hlt();
            },
            engine: ExecutionEngine.Translator);
        MapSecondElsewhere(program);

        program.Run();

        Assert.Equal(0x1122_3344ul, program.Vcpu.State->Gpr[3]);
    }

    private static void MapSecondElsewhere(AsmProgram program)
    {
        ulong entry = AsmProgram.PageTable + ((First + PageBytes) / PageBytes * 8);
        program.Write64(entry, program.Read(entry, 8) ^ (First + PageBytes) ^ Elsewhere);
    }
}
