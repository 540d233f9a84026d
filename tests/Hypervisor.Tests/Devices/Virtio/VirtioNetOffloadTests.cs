using System;
using System.Buffers.Binary;
using Hypervisor.Backends.Network;
using Hypervisor.Devices.Virtio;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Virtio;

/// <summary>What a driver does itself in received frames. Spec: VIRTIO 1.2, sections 5.1.3.1 and 5.1.6.5.6.</summary>
public sealed class VirtioNetOffloadTests : IDisposable
{
    private const ulong Checksum = NetDriver.GuestChecksum, Tcp4 = NetDriver.GuestTcp4, Tcp6 = NetDriver.GuestTcp6;
    private const ulong Ecn = 1UL << 9;

    private readonly SimNetwork _network = new();
    private readonly VirtioBench _bench;

    public VirtioNetOffloadTests()
        => _bench = new VirtioBench(context => new VirtioNet(context, 0, _network, new VirtioNetOptions()));

    public void Dispose()
    {
        _bench.Dispose();
        _network.Dispose();
    }

    [Fact]
    public void Reset_takes_all_work_from_the_driver()
    {
        var driver = new NetDriver(_bench);
        Assert.Equal(
            NetworkOffloads.Checksum | NetworkOffloads.Tcp4 | NetworkOffloads.Tcp6, _network.Configuration.Offloads);

        driver.Pci.Status = 0;

        Assert.Equal((NetworkOffloads.None, 1), _network.Configuration);
    }

    [Theory]
    [InlineData(0UL, NetworkOffloads.None)]
    [InlineData(Checksum, NetworkOffloads.Checksum)]
    [InlineData(Checksum | Tcp4, NetworkOffloads.Checksum | NetworkOffloads.Tcp4)]
    [InlineData(Checksum | Tcp6 | Ecn, NetworkOffloads.Checksum | NetworkOffloads.Tcp6 | NetworkOffloads.TcpEcn)]
    public void Work_of_the_driver_is_changed_while_it_runs(ulong set, NetworkOffloads expected)
    {
        var driver = new NetDriver(_bench, NetDriver.Everything | Ecn);

        Assert.Equal(NetDriver.Ok, Set(driver, set));

        Assert.Equal(expected, _network.Configuration.Offloads);
    }

    [Theory]
    [InlineData(Tcp4)]
    [InlineData(Tcp6)]
    [InlineData(Tcp4 | Tcp6 | Ecn)]
    [InlineData(Ecn)]
    [InlineData(Checksum | Ecn)]
    [InlineData(Checksum | NetDriver.Mergeable)] // was agreed on, but cannot be changed
    [InlineData(Checksum | (1UL << 10))]         // UDP was not
    public void Work_without_what_it_needs_is_refused_and_changes_nothing(ulong set)
    {
        var driver = new NetDriver(_bench, NetDriver.Everything | Ecn);
        (NetworkOffloads, int) before = _network.Configuration;

        Assert.Equal(NetDriver.Error, Set(driver, set));

        Assert.Equal(before, _network.Configuration);
        Assert.False(driver.IsBroken);
    }

    private static byte Set(NetDriver driver, ulong offloads)
    {
        byte[] data = new byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(data, offloads);
        return driver.Command(5, 0, data);
    }
}
