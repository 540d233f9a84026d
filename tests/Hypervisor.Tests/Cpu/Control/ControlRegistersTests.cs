using Hypervisor.Cpu;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Control;

public sealed class ControlRegistersTests
{
    private const int Table = 0x1_0000;  // AsmProgram's PML4: its entries have bits that a page pointer must not have
    private const int PhysicalAddressExtension = 0x20;

    [Fact]
    public void Cr3_takes_a_pml4_while_pae_is_on_and_paging_is_off()
    {
        using var program = new AsmProgram(CpuMode.Protected, a =>
        {
            EnablePae(a);
            a.hlt();
        });

        Assert.Equal(VcpuExit.Halted, program.Run());

        Assert.Equal(-1, program.LastVector);
    }

    [Fact]
    public void Paging_with_pae_refuses_page_pointers_with_reserved_bits()
    {
        using var program = new AsmProgram(CpuMode.Protected, a =>
        {
            EnablePae(a);
            a.mov(eax, cr0);
            a.or(eax, int.MinValue);
            a.mov(cr0, eax);
        });

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
    }

    private static void EnablePae(Assembler a)
    {
        a.mov(eax, PhysicalAddressExtension);
        a.mov(cr4, eax);
        a.mov(eax, Table);
        a.mov(cr3, eax);
    }
}
