using System;
using System.Text;
using Hypervisor.Core.Memory;
using Hypervisor.Machine.Boot;
using Xunit;

namespace Hypervisor.Tests.Boot;

public sealed class ElfKernelTests : IDisposable
{
    private const ulong Info = 0x9_0000;

    private readonly GuestRam _ram = new(16 << 20);

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void A_pvh_kernel_starts_flat_with_start_info()
    {
        BootPlan plan = KernelImages.Load(_ram, KernelImages.Pvh(), "steps=1", new byte[100]);

        Assert.Equal(BootMode.Protected, plan.Mode);
        Assert.Equal(0x10_0000UL, plan.Rip);
        Assert.Equal(Info, plan.Rbx);
        Assert.Equal(0x336E_C578u, KernelImages.ReadU32(_ram, Info));
        Assert.Equal(1u, KernelImages.ReadU32(_ram, Info + 0x0C));
        uint commandLine = KernelImages.ReadU32(_ram, Info + 0x18);
        Assert.Equal("steps=1\0", Encoding.ASCII.GetString(KernelImages.Read(_ram, commandLine, 8)));
        uint modules = KernelImages.ReadU32(_ram, Info + 0x10);
        Assert.Equal(0x21_0000u, KernelImages.ReadU32(_ram, modules)); // behind the guest's memory
        Assert.Equal(100u, KernelImages.ReadU32(_ram, modules + 8));
        uint map = KernelImages.ReadU32(_ram, Info + 0x28);
        Assert.Equal(0x10_0000u, KernelImages.ReadU32(_ram, map + (3 * 24)));
    }

    [Fact]
    public void Memory_behind_the_files_bytes_is_zeroed()
    {
        _ram.TryWrite(0x1C_0000, [1, 2, 3]);

        KernelImages.Load(_ram, KernelImages.Pvh());

        Assert.Equal(new byte[3], KernelImages.Read(_ram, 0x1C_0000, 3));
    }

    [Theory]
    [InlineData(4, 3)]     // class
    [InlineData(5, 2)]     // big-endian
    [InlineData(18, 40)]   // ARM
    [InlineData(56, 200)]  // program headers
    [InlineData(54, 8)]    // their size
    [InlineData(39, 0x7F)] // their offset
    [InlineData(64 + 56 + 14, 0x7F)] // offset of the loaded segment
    [InlineData(64 + 56 + 38, 0x7F)] // its bytes in the file
    [InlineData(64 + 56 + 46, 0x7F)] // its bytes in memory
    [InlineData(64 + 56 + 31, 0xFF)] // its address
    [InlineData(64 + 56 + 26, 0x09)] // on the boot data
    public void A_hostile_elf_is_refused(int offset, byte value)
    {
        byte[] kernel = KernelImages.Pvh();
        kernel[offset] = value;

        BootException error = Assert.Throws<BootException>(() => KernelImages.Load(_ram, kernel));
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void A_truncated_elf_is_refused_at_every_length()
    {
        byte[] kernel = KernelImages.Pvh();

        for (int length = 0; length < kernel.Length; length += length < 0x100 ? 1 : 53)
        {
            byte[] cut = kernel[..length];
            Assert.Throws<BootException>(() => KernelImages.Load(_ram, cut));
        }
    }

    [Fact]
    public void An_elf_without_the_pvh_note_is_refused()
    {
        byte[] kernel = KernelImages.Pvh();
        kernel[64] = 0; // the note's segment becomes a null one

        BootException error = Assert.Throws<BootException>(() => KernelImages.Load(_ram, kernel));
        Assert.Contains("PVH entry", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_flat_multiboot_kernel_starts_with_its_magic_and_information()
    {
        BootPlan plan = KernelImages.Load(_ram, KernelImages.Multiboot(), "a b", new byte[10]);

        Assert.Equal(0x10_0020UL, plan.Rip);
        Assert.Equal(0x2BAD_B002UL, plan.Rax);
        Assert.Equal(Info, plan.Rbx);
        Assert.Equal(0xCD, KernelImages.Read(_ram, 0x10_0020, 1)[0]);
        Assert.Equal(15u * 1024, KernelImages.ReadU32(_ram, Info + 8));
        Assert.Equal(1u, KernelImages.ReadU32(_ram, Info + 0x14));
        Assert.Equal(0x10_2000u, KernelImages.ReadU32(_ram, KernelImages.ReadU32(_ram, Info + 0x18)));
        Assert.Equal(20u, KernelImages.ReadU32(_ram, KernelImages.ReadU32(_ram, Info + 0x30)));
    }

    [Theory]
    [InlineData(4, 0x0001_0010u, "flags")]
    [InlineData(16, 0x0010_0004u, "load address")]
    [InlineData(20, 0x000F_0000u, "load end")]
    [InlineData(20, 0x7FFF_FFFFu, "RAM")]
    [InlineData(20, 0x0010_2000u, "truncated")]
    [InlineData(24, 0x7FFF_FFFFu, "RAM")]
    public void A_hostile_multiboot_header_is_refused(int offset, uint value, string reason)
    {
        byte[] kernel = KernelImages.Multiboot();
        KernelImages.U32(kernel, offset, value);
        uint flags = BitConverter.ToUInt32(kernel, 4);
        KernelImages.U32(kernel, 8, unchecked(0u - 0x1BAD_B002 - flags));

        BootException error = Assert.Throws<BootException>(() => KernelImages.Load(_ram, kernel));
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_of_no_known_kind_is_refused()
    {
        BootException error = Assert.Throws<BootException>(() => KernelImages.Load(_ram, new byte[9000]));

        Assert.Equal("kernel test: no bzImage, PVH ELF or multiboot image", error.Message);
    }

    [Theory]
    [InlineData("/nonexistent/kernel", "no such file")]
    [InlineData("/tmp", "not a regular file")]
    [InlineData("/dev/null", "the file is empty")]
    public void A_file_that_can_not_be_read_is_named(string path, string reason)
    {
        BootException error = Assert.Throws<BootException>(() => BootFile.Open("kernel", path));

        Assert.Equal($"kernel {path}: {reason}", error.Message);
    }

    [Fact]
    public void Without_a_kernel_the_firmware_starts_at_the_reset_vector()
    {
        BootPlan plan = BootLoader.Load(_ram, new BootRequest());

        Assert.Equal(BootMode.Real, plan.Mode);
        Assert.Equal(0xFFF0UL, plan.Rip);
        Assert.Equal(0xF_0000UL, plan.Cs.Base);
        Assert.Equal(0xEA, KernelImages.Read(_ram, 0xF_FFF0, 1)[0]);
        Assert.Equal(0xFC, KernelImages.Read(_ram, 0xF_FFFE, 1)[0]);
    }
}
