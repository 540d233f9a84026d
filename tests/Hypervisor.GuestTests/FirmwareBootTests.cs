using Hypervisor.Guest;
using Hypervisor.Machine;
using Hypervisor.Machine.Boot;
using Xunit;

namespace Hypervisor.GuestTests;

public sealed class FirmwareBootTests
{
    private static readonly MachineEnd s_success = new(MachineEndKind.DebugExit, 1);

    [Fact]
    public void Boot_sector_prints_and_reads_through_the_bios()
    {
        using var folder = new TestFolder();
        string disk = folder.Image("disk.img", BootSectorGuest.BuildDisk());

        (MachineEnd end, string console) = GuestRun.ToEnd(new BootRequest(), disk);

        Assert.Equal(BootSectorGuest.Greeting + BootSectorGuest.SectorText, console);
        Assert.Equal(s_success, end);
    }

    [Fact]
    public void A_disk_boots_again_after_each_kind_of_reset()
    {
        using var folder = new TestFolder();
        string disk = folder.Image("disk.img", ResetDisk.Build());

        (MachineEnd end, string console) = GuestRun.ToEnd(new BootRequest(), disk);

        Assert.Equal("12345", console);
        Assert.Equal(s_success, end);
    }

    [Fact]
    public void A_multiboot_kernel_is_loaded_again_after_a_reset()
    {
        var boot = new BootRequest
        {
            Kernel = BootFile.FromBytes("kernel", "multiboot", MultibootGuest.Build()),
            CommandLine = "hello;",
        };

        (MachineEnd end, string console) = GuestRun.ToEnd(boot);

        Assert.Equal("hello;hello;", console);
        Assert.Equal(s_success, end);
    }
}
