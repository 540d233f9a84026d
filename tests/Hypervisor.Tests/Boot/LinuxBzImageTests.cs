using System;
using System.Text;
using Hypervisor.Core.Memory;
using Hypervisor.Machine.Boot;
using Xunit;

namespace Hypervisor.Tests.Boot;

public sealed class LinuxBzImageTests : IDisposable
{
    private const ulong Params = 0x9_0000;

    private readonly GuestRam _ram = new(64 << 20);

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void A_64_bit_kernel_starts_in_long_mode_at_its_second_entry()
    {
        BootPlan plan = KernelImages.Load(_ram, KernelImages.BzImage(), "console=ttyS0");

        Assert.Equal(BootMode.Long, plan.Mode);
        Assert.Equal(0x10_0200UL, plan.Rip);
        Assert.Equal(Params, plan.Rsi);
        Assert.Equal((ushort)0x10, plan.Cs.Selector);
        Assert.Equal((byte)0xAB, KernelImages.Read(_ram, 0x10_0000, 1)[0]);
    }

    [Fact]
    public void Boot_params_hold_command_line_memory_map_and_rsdp()
    {
        KernelImages.Load(_ram, KernelImages.BzImage(), "console=ttyS0");

        uint commandLine = KernelImages.ReadU32(_ram, Params + 0x228);
        Assert.Equal("console=ttyS0\0", Encoding.ASCII.GetString(KernelImages.Read(_ram, commandLine, 14)));
        Assert.Equal(4, KernelImages.Read(_ram, Params + 0x1E8, 1)[0]);
        Assert.Equal(0x9_FC00u, KernelImages.ReadU32(_ram, Params + 0x2D0 + 8));
        Assert.Equal(0xE_0000u, KernelImages.ReadU32(_ram, Params + 0x70));
        Assert.Equal(0xFF, KernelImages.Read(_ram, Params + 0x210, 1)[0]);
    }

    [Fact]
    public void Page_tables_map_the_first_4_gibibytes_to_themselves()
    {
        BootPlan plan = KernelImages.Load(_ram, KernelImages.BzImage());

        foreach (ulong gva in new ulong[] { 0, 0x1234_5678, 0xFEE0_0000 })
        {
            uint pointers = KernelImages.ReadU32(_ram, plan.Cr3) & ~0xFFFu;
            uint directory = KernelImages.ReadU32(_ram, pointers + ((gva >> 30) * 8)) & ~0xFFFu;
            uint entry = KernelImages.ReadU32(_ram, directory + (((gva >> 21) & 511) * 8));
            Assert.Equal((uint)(gva & ~0x1F_FFFFUL) | 0x83, entry);
        }
    }

    [Fact]
    public void The_initrd_ends_at_the_top_of_low_ram_on_a_page()
    {
        byte[] initrd = new byte[5000];
        initrd[4999] = 0x77;

        KernelImages.Load(_ram, KernelImages.BzImage(), "", initrd);

        uint start = KernelImages.ReadU32(_ram, Params + 0x218);
        Assert.Equal((64u << 20) - 8192, start);
        Assert.Equal(5000u, KernelImages.ReadU32(_ram, Params + 0x21C));
        Assert.Equal(0x77, KernelImages.Read(_ram, start + 4999, 1)[0]);
    }

    [Fact]
    public void The_initrd_stays_below_the_kernels_limit()
    {
        byte[] kernel = KernelImages.BzImage();
        KernelImages.U32(kernel, 0x22C, 0x1FF_FFFF);

        KernelImages.Load(_ram, kernel, "", new byte[4096]);

        Assert.Equal(0x1FF_F000u, KernelImages.ReadU32(_ram, Params + 0x218));
    }

    [Fact]
    public void A_32_bit_kernel_starts_in_protected_mode()
    {
        byte[] kernel = KernelImages.BzImage();
        KernelImages.U16(kernel, 0x236, 0);

        BootPlan plan = KernelImages.Load(_ram, kernel);

        Assert.Equal(BootMode.Protected, plan.Mode);
        Assert.Equal(0x10_0000UL, plan.Rip);
        Assert.Equal(Params, plan.Rsi);
    }

    [Fact]
    public void A_kernel_needs_its_run_time_space_in_ram()
    {
        using var small = new GuestRam(16 << 20);

        BootException error = Assert.Throws<BootException>(() => KernelImages.Load(small, KernelImages.BzImage()));

        Assert.Equal("kernel test: needs RAM up to 18 MiB, the guest has 16 MiB below 4 GiB", error.Message);
    }

    [Fact]
    public void An_initrd_that_does_not_fit_is_refused()
        => Refuses("do not fit", KernelImages.BzImage(), "", new byte[60 << 20]);

    [Fact]
    public void A_command_line_longer_than_the_kernel_takes_is_refused()
        => Refuses(
            "command line has 2048 bytes, this kernel takes at most 2047", KernelImages.BzImage(),
            new string('x', 2048));

    [Theory]
    [InlineData(0x1FE, 0, "boot flag")]
    [InlineData(0x207, 1, "too old")]
    [InlineData(0x211, 0, "zImage")]
    [InlineData(0x1F5, 9, "truncated")]
    [InlineData(0x25C, 1, "below 4 GiB")]
    public void A_header_that_can_not_be_is_refused(int offset, byte value, string reason)
    {
        byte[] kernel = KernelImages.BzImage();
        kernel[offset] = value;

        Refuses(reason, kernel);
    }

    [Fact]
    public void A_truncated_kernel_is_refused_at_every_length()
    {
        byte[] kernel = KernelImages.BzImage();

        for (int length = 0; length < kernel.Length; length += length < 0x300 ? 1 : 97)
        {
            byte[] cut = kernel[..length];
            Assert.Throws<BootException>(() => KernelImages.Load(_ram, cut));
        }
    }

    private void Refuses(string reason, byte[] kernel, string commandLine = "", byte[]? initrd = null)
    {
        BootException error = Assert.Throws<BootException>(() => KernelImages.Load(_ram, kernel, commandLine, initrd));

        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }
}
