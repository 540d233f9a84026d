using Hypervisor.Guest;
using Xunit;

namespace Hypervisor.Tests.Guest;

public sealed class EmbeddedGuestTests
{
    [Fact]
    public void Guests_are_the_same_at_each_build()
    {
        Assert.Equal(CountingGuest.Build(), CountingGuest.Build());
        Assert.Equal(ComputeGuest.Build(), ComputeGuest.Build());
    }

    // The number is what the guest prints under QEMU.
    [Fact]
    public void The_compute_guests_checksum_is_known()
        => Assert.Equal(9_726_036_484_169_169_627UL, ComputeGuest.Checksum(3));

    [Fact]
    public void The_boot_sector_carries_its_signature()
    {
        byte[] disk = BootSectorGuest.BuildDisk();

        Assert.Equal([0x55, 0xAA], disk[510..512]);
        Assert.Equal("sector one"u8.ToArray(), disk[512..522]);
    }
}
