using Hypervisor.Machine;
using Hypervisor.Machine.Boot;
using Xunit;

namespace Hypervisor.GuestTests;

public sealed class GrubTests
{
    [Fact]
    public void Grub_loads_debian_from_the_disk()
    {
        using var folder = new TestFolder();
        LinuxFiles.MakeGrubDisk(
            folder["disk.img"], "console=ttyS0 quiet hvdisk=/dev/vda1 hvtest=poweroff");

        (MachineEnd end, string console) = GuestRun.ToEnd(new BootRequest(), folder["disk.img"]);

        Assert.Contains("GRUB: loading Linux", console);
        Assert.Contains("init: /dev/vda1 on /mnt", console);
        Assert.Contains("BOOTED", console);
        Assert.Equal(new MachineEnd(MachineEndKind.PowerOff), end);
    }
}
