using System;
using Hypervisor.Cpu;
using Hypervisor.Cpu.State;
using Hypervisor.TestKit;
using Hypervisor.Tests.Cpu.Interrupts;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Control;

public sealed unsafe class ControlRegisterTests
{
    private const ulong UserPage = 0x20000, KernelPage = 0x21000;

    [Theory]
    [InlineData(0, 0x8000_0010)]       // PG without PE
    [InlineData(0, 0x2000_0011)]       // NW without CD
    [InlineData(0, 0x1_8001_0011)]     // upper half
    [InlineData(0, 0x11)]              // paging off in 64-bit mode
    [InlineData(3, 0x1_0000_1000_0000)] // beyond the physical width
    [InlineData(4, 0x0)]               // PAE off in long mode
    [InlineData(4, 0x1020)]            // LA57 does not exist
    [InlineData(8, 0x10)]
    public void Reserved_and_inconsistent_values_are_refused(int register, long value)
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(rax, value);
            Move(a, register);
        });

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal(0ul, program.Read(program.Vcpu.State->Gpr[4], 8));
    }

    [Fact]
    public void Long_mode_is_entered_by_the_book()
    {
        using var program = new AsmProgram(CpuMode.Protected, a =>
        {
            a.mov(eax, 0x20);
            a.mov(cr4, eax);
            a.mov(eax, 0x10000);
            a.mov(cr3, eax);
            a.mov(ecx, unchecked((int)0xC000_0080));
            a.rdmsr();
            a.or(eax, 0x100);
            a.wrmsr();
            a.mov(eax, cr0);
            a.bts(eax, 31);
            a.mov(cr0, eax);
            a.db(0xEA, 0x00, 0xC0, 0x00, 0x00, 0x08, 0x00); // JMP 8:C000
        });
        program.Assemble(AsmProgram.Data, a =>
        {
            a.mov(rbx, 0x1234_5678_9ABC_DEF0);
            a.hlt();
        }, bits: 64);

        program.Run();

        Assert.Equal(0x1234_5678_9ABC_DEF0ul, program.Vcpu.State->Gpr[3]);
        Assert.Equal(Efer.LongModeActive, program.Vcpu.State->Efer & Efer.LongModeActive);
        Assert.Equal(2u, program.Vcpu.State->CodeMode);
    }

    [Fact]
    public void Paging_with_pae_refuses_page_pointers_with_reserved_bits()
    {
        using var program = new AsmProgram(CpuMode.Protected, a =>
        {
            a.mov(eax, 0x20);
            a.mov(cr4, eax);
            a.mov(eax, 0x10000); // a PML4: its entries may say "writable", page pointers may not
            a.mov(cr3, eax);
            a.mov(eax, cr0);
            a.bts(eax, 31);
            a.mov(cr0, eax);
        });

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
    }

    [Fact]
    public void Unreal_mode_keeps_the_large_limit()
    {
        // JMP 48:C000
        using var program = new AsmProgram(CpuMode.Protected, a => a.db(0xEA, 0x00, 0xC0, 0x00, 0x00, 0x48, 0x00));
        program.Assemble(AsmProgram.Data, a =>
        {
            a.mov(eax, cr0);
            a.and(al, 0xFE);
            a.mov(cr0, eax);
            a.db(0xEA, 0x00, 0xD0, 0x00, 0x00); // JMP 0:D000
        }, bits: 16);
        program.Assemble(AsmProgram.Data + 0x1000, a =>
        {
            a.xor(ax, ax);
            a.mov(ds, ax);
            a.mov(ebx, 0x30_0000);
            a.mov(__byte_ptr[ebx], 0x77);
            a.hlt();
        }, bits: 16);

        program.Run();

        Assert.Equal(0x77ul, program.Read(0x30_0000, 1));
        Assert.Equal(0u, program.Vcpu.State->CodeMode);
    }

    [Theory]
    [InlineData(0x10_0000u, true, 0x11u)]   // SMEP: fetch of a user page; error P | I/D
    [InlineData(0u, false, 0u)]
    public void Smep_forbids_running_user_pages(uint bits, bool faults, uint error)
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(rax, bits | 0x20ul);
            a.mov(cr4, rax);
            a.jmp(UserPage);
        });
        MakeSupervisor(program);
        program.Write64(AsmProgram.PageTable + (UserPage >> 12 << 3), UserPage | 7);
        program.Assemble(UserPage, a => a.hlt());

        program.Run();

        Check(program, faults, error);
    }

    [Theory]
    [InlineData(false, true, 1u)]
    [InlineData(true, false, 0u)] // STAC opens
    public void Smap_forbids_user_data_unless_ac(bool opens, bool faults, uint error)
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(eax, 0x20_0020);
            a.mov(cr4, rax);
            if (opens)
            {
                a.stac();
            }

            a.mov(eax, __dword_ptr[(int)UserPage]);
            a.hlt();
        });
        MakeSupervisor(program);
        program.Write64(AsmProgram.PageTable + (UserPage >> 12 << 3), UserPage | 7);

        program.Run();

        Check(program, faults, error);
    }

    [Fact]
    public void Write_protect_holds_for_the_supervisor()
    {
        using var program = new AsmProgram(CpuMode.Long, a => a.mov(__dword_ptr[(int)KernelPage], eax));
        program.Write64(AsmProgram.PageTable + (KernelPage >> 12 << 3), KernelPage | 5);

        program.Run();

        Check(program, true, 3);
        Assert.Equal(KernelPage, program.Vcpu.State->Cr2);
    }

    [Fact]
    public void No_execute_page_faults_on_fetch()
    {
        using var program = new AsmProgram(CpuMode.Long, a => a.jmp(KernelPage));
        program.Write64(AsmProgram.PageTable + (KernelPage >> 12 << 3), KernelPage | 3 | (1ul << 63));

        program.Run();

        Check(program, true, 0x11);
        Assert.Equal(KernelPage, program.Read(program.Vcpu.State->Gpr[4] + 8, 8));
    }

    [Fact]
    public void Accessed_and_dirty_bits_are_set_by_what_happens()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(eax, __dword_ptr[(int)UserPage]);
            a.mov(__dword_ptr[(int)KernelPage], eax);
            a.hlt();
        });

        program.Run();

        Assert.Equal(0x20ul, program.Read(AsmProgram.PageTable + (UserPage >> 12 << 3), 8) & 0x60);
        Assert.Equal(0x60ul, program.Read(AsmProgram.PageTable + (KernelPage >> 12 << 3), 8) & 0x60);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Invlpg_and_invpcid_drop_a_changed_translation(bool byContext)
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(__dword_ptr[(int)UserPage], 1);
            a.mov(__dword_ptr[(int)KernelPage], 2);
            a.mov(eax, __dword_ptr[(int)UserPage]);
            a.mov(__dword_ptr[(int)(AsmProgram.PageTable + (UserPage >> 12 << 3))], (int)(KernelPage | 7));
            if (byContext)
            {
                a.mov(ecx, 2);
                a.invpcid(rcx, __xmmword_ptr[(int)AsmProgram.Data]);
            }
            else
            {
                a.invlpg(__byte_ptr[(int)UserPage]);
            }

            a.mov(ebx, __dword_ptr[(int)UserPage]);
            a.hlt();
        });

        program.Run();

        Assert.Equal(1ul, program.Vcpu.State->Gpr[0]);
        Assert.Equal(2ul, program.Vcpu.State->Gpr[3]);
    }

    [Fact]
    public void Pcid_needs_a_clean_cr3_and_keeps_bit_63_out_of_it()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(eax, 0x2_0020);
            a.mov(cr4, rax);
            a.mov(rax, 0x8000_0000_0001_0005);
            a.mov(cr3, rax);
            a.mov(rbx, cr3);
            a.hlt();
        });

        program.Run();

        Assert.Equal(0x1_0005ul, program.Vcpu.State->Gpr[3]);
    }

    [Fact]
    public void User_mode_instruction_prevention_hides_the_tables()
    {
        using AsmProgram program = ExceptionDeliveryTests.UserProgram(a => a.sgdt(__[(int)AsmProgram.Data]));
        program.Vcpu.State->Cr4 |= Cr4.UserModeInstructionPrevention;

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
    }

    [Theory]
    [InlineData("hlt")]
    [InlineData("cli")]
    [InlineData("mov cr0")]
    [InlineData("rdmsr")]
    [InlineData("invlpg")]
    [InlineData("in")]
    [InlineData("lgdt")]
    [InlineData("clts")]
    [InlineData("swapgs")]
    [InlineData("wbinvd")]
    public void Privileged_instructions_fault_in_user_code(string name)
    {
        using AsmProgram program = ExceptionDeliveryTests.UserProgram(a => Emit(a, name));
        program.Write32(AsmProgram.Tss + 0x64, 0xFFFFu << 16); // no I/O bitmap

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal(AsmProgram.UserCode, program.Read(program.Vcpu.State->Gpr[4] + 8, 8));
    }

    [Fact]
    public void Port_bitmap_opens_single_ports()
    {
        using AsmProgram program = ExceptionDeliveryTests.UserProgram(a =>
        {
            a.@in(al, 0x10);
            a.@in(ax, 0x10); // its second byte is port 11, closed
        });
        program.Bus.Ports[0x10] = 0x5A;
        program.Write32(AsmProgram.Tss + 0x68, 0x2_0000);

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal(AsmProgram.UserCode + 2, program.Read(program.Vcpu.State->Gpr[4] + 8, 8));
        Assert.Equal(0x5Aul, program.Vcpu.State->Gpr[0] & 0xFF);
    }

    [Fact]
    public void Repeated_port_strings_move_every_element()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(esi, (int)AsmProgram.Data);
            a.mov(edi, (int)AsmProgram.Data + 0x100);
            a.mov(edx, 0x60);
            a.mov(ecx, 3);
            a.rep.outsb();
            a.mov(ecx, 2);
            a.rep.insd();
            a.hlt();
        });
        program.Write32(AsmProgram.Data, 0x00CC_BBAA);
        program.Bus.Ports[0x60] = 0x1122_3344;

        program.Run();

        Assert.Equal([(0x60, 1, 0xAAu), (0x60, 1, 0xBBu), (0x60, 1, 0xCCu)], program.Bus.PortWrites);
        Assert.Equal(0x1122_3344_1122_3344ul, program.Read(AsmProgram.Data + 0x100, 8));
        Assert.Equal(AsmProgram.Data + 0x108, program.Vcpu.State->Gpr[7]);
    }

    private static void Check(AsmProgram program, bool faults, uint error)
    {
        Assert.Equal(faults ? ExceptionVector.PageFault : -1, program.LastVector);
        if (faults)
        {
            Assert.Equal(error, (uint)program.Read(program.Vcpu.State->Gpr[4], 8));
        }
    }

    // The tables, code, handlers and stacks become supervisor pages.
    private static void MakeSupervisor(AsmProgram program)
    {
        for (ulong page = 0; page < 0x18; page++)
        {
            program.Write64(AsmProgram.PageTable + (page * 8), (page << 12) | 3);
        }
    }

    private static void Move(Assembler a, int register)
    {
        AssemblerRegisterCR target = register switch { 0 => cr0, 3 => cr3, 4 => cr4, _ => cr8 };
        a.mov(target, rax);
    }

    private static void Emit(Assembler a, string name)
    {
        Action emit = name switch
        {
            "hlt" => a.hlt,
            "cli" => a.cli,
            "mov cr0" => () => a.mov(rax, cr0),
            "rdmsr" => a.rdmsr,
            "invlpg" => () => a.invlpg(__byte_ptr[rax]),
            "in" => () => a.@in(al, 0x60),
            "lgdt" => () => a.lgdt(__[rsp]),
            "clts" => a.clts,
            "swapgs" => a.swapgs,
            _ => a.wbinvd,
        };
        emit();
    }
}
