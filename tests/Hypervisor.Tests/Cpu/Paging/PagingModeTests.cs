using Hypervisor.Cpu;
using Hypervisor.TestKit;
using Hypervisor.Tests.Cpu.Interrupts;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Paging;

public sealed unsafe class PagingModeTests
{
    private const ulong Root = 0x20000, Middle = 0x21000, Last = 0x22000;
    private const ulong Page = 0x30000, Target = 0x31000;

    [Fact]
    public void Two_level_tables_map_small_and_4_mib_pages()
    {
        using AsmProgram program = Mapped(isWide: false, a =>
        {
            a.mov(ebx, __dword_ptr[(int)Page]);
            a.mov(edx, __dword_ptr[0x40_0000 + (int)Target]);
            a.hlt();
        });

        program.Run();

        AssertBothRead(program);
    }

    [Fact]
    public void Pae_tables_map_small_and_2_mib_pages()
    {
        using AsmProgram program = Mapped(isWide: true, a =>
        {
            a.mov(ebx, __dword_ptr[(int)Page]);
            a.mov(edx, __dword_ptr[0x20_0000 + (int)Target]);
            a.hlt();
        });

        program.Run();

        AssertBothRead(program);
    }

    [Fact]
    public void Pae_pages_can_forbid_execution()
    {
        using AsmProgram program = Mapped(isWide: true, a => a.jmp(0x20_0000 + AsmProgram.Data));
        program.Vcpu.State->Efer |= 1 << 11; // NXE
        program.Write64(Middle + 8, 0x87 | (1ul << 63));

        program.Run();

        Assert.Equal(ExceptionVector.PageFault, program.LastVector);
        Assert.Equal(0x11ul, program.Read(program.Vcpu.State->Gpr[4], 4));
    }

    [Theory]
    [InlineData(false, false, 0x0ul, 4u)]               // not present
    [InlineData(true, false, 0x0ul, 6u)]
    [InlineData(false, false, 0x3ul, 5u)]               // supervisor page
    [InlineData(true, false, 0x5ul, 7u)]                // read-only page
    [InlineData(false, false, 0x2000_0000_0007ul, 13u)] // physical address too wide
    [InlineData(false, true, 0x8000_0000_0000_0007ul, 21u)]
    public void Page_fault_of_user_code_says_why(bool isWrite, bool isFetch, ulong entry, uint error)
    {
        using AsmProgram program = ExceptionDeliveryTests.UserProgram(a =>
        {
            if (isFetch)
            {
                a.jmp(Page);
            }
            else if (isWrite)
            {
                a.mov(__byte_ptr[(int)Page], 1);
            }
            else
            {
                a.mov(al, __byte_ptr[(int)Page]);
            }
        });
        program.Write64(AsmProgram.PageTable + (Page >> 12 << 3), entry == 0 ? 0 : entry | Target);

        program.Run();

        Assert.Equal(ExceptionVector.PageFault, program.LastVector);
        Assert.Equal(error, (uint)program.Read(program.Vcpu.State->Gpr[4], 4));
        Assert.Equal(Page, program.Vcpu.State->Cr2);
    }

    [Fact]
    public void Supervisor_stores_to_read_only_pages_without_write_protect()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(rax, cr0);
            a.btr(rax, 16);
            a.mov(cr0, rax);
            a.mov(__dword_ptr[(int)Page], 7);
            a.hlt();
        });
        program.Write64(AsmProgram.PageTable + (Page >> 12 << 3), Page | 5);

        program.Run();

        Assert.Equal(-1, program.LastVector);
        Assert.Equal(7ul, program.Read(Page, 4));
    }

    [Theory]
    [InlineData(false, false)] // CR3 drops pages that are not global
    [InlineData(true, true)]   // and CR4.PGE drops all
    [InlineData(false, true)]
    public void Reloading_cr3_or_pge_drops_translations(bool isGlobal, bool byPge)
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(rax, cr4);
            a.bts(rax, 7);
            a.mov(cr4, rax);
            a.mov(ebx, __dword_ptr[(int)Page]);
            a.mov(rdx, Target | 7);
            a.mov(__qword_ptr[(int)(AsmProgram.PageTable + (Page >> 12 << 3))], rdx);
            if (byPge)
            {
                a.btr(rax, 7);
                a.mov(cr4, rax);
            }
            else
            {
                a.mov(rax, cr3);
                a.mov(cr3, rax);
            }

            a.mov(ecx, __dword_ptr[(int)Page]);
            a.hlt();
        });
        program.Write64(AsmProgram.PageTable + (Page >> 12 << 3), Page | 7 | (isGlobal ? 0x100ul : 0));
        program.Write32(Page, 1);
        program.Write32(Target, 2);

        program.Run();

        Assert.Equal(1ul, program.Vcpu.State->Gpr[3]);
        Assert.Equal(2ul, program.Vcpu.State->Gpr[1]);
    }

    [Fact]
    public void Misaligned_user_access_faults_when_asked_for()
    {
        using AsmProgram program = ExceptionDeliveryTests.UserProgram(a =>
        {
            a.mov(eax, __dword_ptr[(int)AsmProgram.Data + 1]);
            a.pushfq();
            a.bts(__dword_ptr[rsp], 18);
            a.popfq();
            a.mov(ebx, __dword_ptr[(int)AsmProgram.Data + 4]);
            a.mov(eax, __dword_ptr[(int)AsmProgram.Data + 1]);
        });
        program.Vcpu.State->Cr0 |= 1 << 18;

        program.Run();

        Assert.Equal(ExceptionVector.AlignmentCheck, program.LastVector);
        Assert.Equal(0ul, program.Read(program.Vcpu.State->Gpr[4], 8));
    }

    // Identity, but Page shows Target; the second large page shows physical 0.
    private static AsmProgram Mapped(bool isWide, System.Action<Assembler> write)
    {
        var program = new AsmProgram(CpuMode.Protected, a =>
        {
            a.mov(eax, isWide ? 0x20 : 0x10);
            a.mov(cr4, eax);
            a.mov(eax, (int)Root);
            a.mov(cr3, eax);
            a.mov(eax, cr0);
            a.bts(eax, 31);
            a.mov(cr0, eax);
            write(a);
        });
        for (uint page = 0; page < 512; page++)
        {
            ulong shown = page == Page >> 12 ? Target : page << 12;
            if (isWide)
            {
                program.Write64(Last + (page * 8), shown | 7);
            }
            else
            {
                program.Write32(Last + (page * 4), (uint)shown | 7);
            }
        }

        if (isWide)
        {
            program.Write64(Root, Middle | 1);
            program.Write64(Middle, Last | 7, 0x87);
        }
        else
        {
            program.Write32(Root, (uint)Last | 7);
            program.Write32(Root + 4, 0x87);
        }

        program.Write32(Target, 0x1234_5678);
        return program;
    }

    private static void AssertBothRead(AsmProgram program)
    {
        Assert.Equal(-1, program.LastVector);
        Assert.Equal(0x1234_5678ul, program.Vcpu.State->Gpr[3]);
        Assert.Equal(0x1234_5678ul, program.Vcpu.State->Gpr[2]);
    }
}
