using System;
using System.Linq;
using Hypervisor.Backends.Network;
using Hypervisor.Core.State;
using Hypervisor.Devices.Virtio;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Virtio;

/// <summary>Features, configuration, control queue, checkpoint and takeover of a NIC.</summary>
public sealed class VirtioNetControlTests : IDisposable
{
    private const string Own = "52:54:00:12:34:56", Other = "52:54:00:12:34:57";
    private const string Group = "01:00:5e:00:00:01", Everybody = "ff:ff:ff:ff:ff:ff";

    private readonly SimNetwork _network = new(queueCount: 2);
    private readonly VirtioBench _bench;

    public VirtioNetControlTests() => _bench = NewBench(_network);

    public void Dispose()
    {
        _bench.Dispose();
        _network.Dispose();
    }

    [Fact]
    public void Configuration_is_that_of_the_specification()
    {
        VirtioPciDriver pci = _bench.Probe();

        Assert.Equal(0x0000_5634_1200_5452UL, pci.ReadConfig(0, 4) | (pci.ReadConfig(4, 2) << 32));
        Assert.Equal(1UL, pci.ReadConfig(6, 2)); // the link is up
        Assert.Equal(2UL, pci.ReadConfig(8, 2));
        Assert.Equal(1500UL, pci.ReadConfig(10, 2));
        Assert.Equal(10_000UL, pci.ReadConfig(12, 4));
        Assert.Equal(1UL, pci.ReadConfig(16, 1));
        pci.WriteConfig(0, 1, 0xEE);
        Assert.Equal(0x52UL, pci.ReadConfig(0, 1)); // a driver of version 1 may not
    }

    [Fact]
    public void Work_is_left_to_guests_only_where_it_may_come_from()
    {
        using VirtioBench plain = NewBench(new SimNetwork { HasOffloads = false });

        ulong with = _bench.Probe().DeviceFeatures, without = plain.Probe().DeviceFeatures;

        const ulong Guest = NetDriver.GuestChecksum | NetDriver.GuestTcp4 | NetDriver.GuestTcp6 | (1UL << 9)
            | NetDriver.ControlGuestOffloads;
        Assert.Equal(Guest | NetDriver.MultiQueue, with & ~without);
        Assert.Equal(NetDriver.HostTcp4 | NetDriver.Checksum, without & (NetDriver.HostTcp4 | NetDriver.Checksum));
        Assert.Equal(0UL, with & ((1UL << 10) | (1UL << 14))); // UDP: no
    }

    [Theory]
    [InlineData(NetDriver.GuestTcp4)]
    [InlineData(NetDriver.HostTcp4)]
    [InlineData(NetDriver.Checksum | NetDriver.HostEcn)]
    [InlineData(NetDriver.ControlReceive)]
    [InlineData(NetDriver.MultiQueue)]
    [InlineData(NetDriver.Announce)]
    public void Feature_without_the_one_that_it_needs_is_refused(ulong features)
    {
        Assert.False(_bench.Probe().Negotiate(VirtioPciDriver.Version1 | features));
        Assert.True(_bench.Probe().Negotiate(VirtioPciDriver.Version1));
    }

    [Theory]
    [InlineData(Own, true)]
    [InlineData(Other, false)]
    [InlineData(Group, false)]
    [InlineData(Everybody, true)]
    public void Without_promiscuous_mode_only_what_is_addressed_comes(string target, bool comes)
    {
        NetDriver driver = NotPromiscuous();

        Assert.Equal(comes, Comes(driver, NetDriver.Frame(60, target)));
    }

    [Theory]
    [InlineData(1, Group, true)]      // all multicast
    [InlineData(2, Other, true)]      // all unicast
    [InlineData(3, Group, false)]     // no multicast
    [InlineData(4, Own, false)]       // no unicast
    [InlineData(5, Everybody, false)] // no broadcast
    public void Receive_modes_change_what_comes(byte command, string target, bool comes)
    {
        NetDriver driver = NotPromiscuous();
        bool hasTable = command == 3; // what is to be kept out must come otherwise
        driver.Command(1, 0, [0, 0, 0, 0, hasTable ? (byte)1 : (byte)0, 0, 0, 0, .. hasTable ? Mac(Group) : []]);

        Assert.Equal(NetDriver.Ok, driver.Command(0, command, 1));

        Assert.Equal(comes, Comes(driver, NetDriver.Frame(60, target)));
        Assert.Equal(NetDriver.Ok, driver.Command(0, command, 0));
        Assert.Equal(!comes, Comes(driver, NetDriver.Frame(60, target)));
    }

    [Fact]
    public void Tables_of_addresses_let_in_what_they_name()
    {
        NetDriver driver = NotPromiscuous();

        Assert.Equal(NetDriver.Ok, driver.Command(1, 0, [1, 0, 0, 0, .. Mac(Other), 1, 0, 0, 0, .. Mac(Group)]));

        Assert.True(Comes(driver, NetDriver.Frame(60, Other)));
        Assert.True(Comes(driver, NetDriver.Frame(60, Group)));
        Assert.False(Comes(driver, NetDriver.Frame(60, "52:54:00:12:34:58")));
        Assert.Equal(NetDriver.Ok, driver.Command(1, 0, [0, 0, 0, 0, 0, 0, 0, 0]));
        Assert.False(Comes(driver, NetDriver.Frame(60, Other)));
    }

    [Fact]
    public void Table_that_is_too_long_lets_all_of_its_kind_in()
    {
        NetDriver driver = NotPromiscuous();
        byte[] many = [.. Enumerable.Range(0, VirtioNetFilterTableMax + 1).SelectMany(_ => Mac(Group))];

        Assert.Equal(NetDriver.Ok, driver.Command(1, 0, [0, 0, 0, 0, VirtioNetFilterTableMax + 1, 0, 0, 0, .. many]));

        Assert.True(Comes(driver, NetDriver.Frame(60, "33:33:00:00:00:99")));
        Assert.False(Comes(driver, NetDriver.Frame(60, Other)));
    }

    [Fact]
    public void Address_can_be_changed_until_the_next_reset()
    {
        NetDriver driver = NotPromiscuous();

        Assert.Equal(NetDriver.Ok, driver.Command(1, 1, Mac(Other)));
        Assert.Equal(NetDriver.Error, driver.Command(1, 1, Mac(Group)));

        Assert.True(Comes(driver, NetDriver.Frame(60, Other)));
        Assert.False(Comes(driver, NetDriver.Frame(60, Own)));
        Assert.Equal(0x57UL, driver.Pci.ReadConfig(5, 1));
        driver.Pci.Status = 0;
        Assert.Equal(0x56UL, driver.Pci.ReadConfig(5, 1));
    }

    [Fact]
    public void Vlans_come_when_they_were_asked_for()
    {
        NetDriver driver = NotPromiscuous();
        byte[] frame = NetDriver.Frame(60, Own, type: 0x8100);
        (frame[14], frame[15]) = (0xE0, 100); // priority bits are no part of the number

        Assert.False(Comes(driver, frame));
        Assert.Equal(NetDriver.Ok, driver.Command(2, 0, 100, 0));
        Assert.True(Comes(driver, frame));
        Assert.Equal(NetDriver.Ok, driver.Command(2, 1, 100, 0));
        Assert.False(Comes(driver, frame));
        Assert.Equal(NetDriver.Error, driver.Command(2, 0, 0x00, 0x10)); // 4096
    }

    [Theory]
    [InlineData(new byte[] { 0, 6, 1 })]           // no such mode
    [InlineData(new byte[] { 0, 0 })]              // no data
    [InlineData(new byte[] { 0, 0, 1, 1 })]        // too much
    [InlineData(new byte[] { 1, 0, 1, 0, 0, 0 })]  // a table that ends early
    [InlineData(new byte[] { 1, 0, 0, 0, 0, 0, 255, 255, 255, 255 })]
    [InlineData(new byte[] { 1, 0, 255, 255, 255, 255, 0, 0, 0, 0 })]
    [InlineData(new byte[] { 1, 1, 2, 0, 0, 0, 0 })]
    [InlineData(new byte[] { 1, 2, 0, 0, 0, 0, 0, 0 })]
    [InlineData(new byte[] { 3, 1 })]
    [InlineData(new byte[] { 4, 0, 0, 0 })]        // no pair at all
    [InlineData(new byte[] { 4, 0, 3, 0 })]        // more than there are
    [InlineData(new byte[] { 5, 0, 0, 2, 0, 0, 0, 0, 0, 0 })] // CWR: was not agreed on
    [InlineData(new byte[] { 5, 0, 0, 0 })]
    [InlineData(new byte[] { 9, 0 })]
    public void Command_that_makes_no_sense_is_answered_with_an_error(byte[] command)
    {
        var driver = new NetDriver(_bench, NetDriver.Everything | NetDriver.MultiQueue, pairs: 2);

        Assert.Equal(NetDriver.Error, driver.Command(command[0], command[1], command[2..]));
        Assert.False(driver.IsBroken);
    }

    [Theory]
    [InlineData(1u, 1u)]
    [InlineData(2u, 0u)]
    public void Command_without_room_for_its_answer_breaks_the_device(uint readable, uint writable)
    {
        var driver = new NetDriver(_bench, NetDriver.Everything | NetDriver.MultiQueue, pairs: 2);
        ulong gpa = driver.Place(new byte[16]);
        driver.Queues[^1].Add(writable == 0
            ? [(gpa, readable, false)]
            : [(gpa, readable, false), (gpa, writable, true)]);

        driver.Pci.Kick(4);

        Assert.True(driver.IsBroken);
    }

    [Fact]
    public void Second_pair_of_queues_is_in_use_once_the_driver_says_so()
    {
        var driver = new NetDriver(_bench, NetDriver.Everything | NetDriver.MultiQueue, pairs: 2);
        driver.Send(NetDriver.With(default, NetDriver.Frame(60)), pair: 1);
        Assert.Empty(_network.Sent);

        Assert.Equal(NetDriver.Ok, driver.Command(4, 0, 2, 0));
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal(1, Assert.Single(_network.Sent).Queue);
        Assert.Equal(2, _network.Configuration.QueueCount);
        driver.Offer(100, pair: 1);
        _network.Receive(NetDriver.With(default, NetDriver.Frame(60)), queue: 1);
        _bench.Harness.EventLoop.RunPosted();
        Assert.Equal(1, driver.Queues[2].UsedIndex);
        Assert.Equal((NetDriver.MsiAddress, NetDriver.MsiData + 3), _bench.Harness.Messages[^1]);
    }

    [Fact]
    public void Takeover_is_announced_by_the_host_and_by_the_guest()
    {
        var primary = new NetDriver(_bench, NetDriver.Everything | NetDriver.MultiQueue, pairs: 2);
        var network = new SimNetwork(queueCount: 2);
        using VirtioBench standby = NewBench(network);
        standby.LoadFrom(_bench);
        Assert.Empty(network.Sent); // a standby that loads is still silent
        Assert.NotNull(primary);

        standby.Transport.ResumeInFlight();
        standby.Harness.Advance(1_000_000_000);

        Assert.Equal(5, network.Sent.Count);
        byte[] frame = network.Sent[0].Frame;
        Assert.Equal(72, frame.Length);
        Assert.Equal(
            [.. Mac(Everybody), .. Mac(Own), 0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3, .. Mac(Own), 0, 0, 0, 0, .. Mac(Own)],
            frame[12..(12 + 38)]);
        Assert.Equal(3UL, standby.Probe().ReadConfig(6, 2));
        Assert.Contains((NetDriver.MsiAddress, NetDriver.MsiData), standby.Harness.Messages); // a change of that
        const NetworkOffloads Offloads = NetworkOffloads.Checksum | NetworkOffloads.Tcp4 | NetworkOffloads.Tcp6;
        Assert.Equal((Offloads, 1), network.Configuration);
    }

    [Fact]
    public void Guest_acknowledges_its_own_announcement()
    {
        var driver = new NetDriver(_bench, NetDriver.Everything | NetDriver.MultiQueue, pairs: 2);
        _bench.Transport.ResumeInFlight();
        Assert.Equal(3UL, driver.Pci.ReadConfig(6, 2));

        Assert.Equal(NetDriver.Ok, driver.Command(3, 0));

        Assert.Equal(1UL, driver.Pci.ReadConfig(6, 2));
    }

    [Fact]
    public void Checkpoint_carries_every_field()
    {
        VirtioBench last = null!;
        CheckpointAssert.RoundTrips(
            () =>
            {
                last = NewBench(new SimNetwork(queueCount: 2));
                return last.Transport;
            },
            transport => Work(last, transport),
            _ => new NetDriver(last).Command(1, 0, [1, 0, 0, 0, .. Mac(Other), 1, 0, 0, 0, .. Mac(Group)]));
    }

    [Fact]
    public void Tables_and_vlans_work_on_after_a_takeover()
    {
        NetDriver driver = NotPromiscuous();
        driver.Command(1, 0, [1, 0, 0, 0, .. Mac(Other), 1, 0, 0, 0, .. Mac(Group)]);
        driver.Command(2, 0, 100, 0);
        byte[] tagged = NetDriver.Frame(60, Own, type: 0x8100);
        (tagged[14], tagged[15]) = (0, 100);
        var network = new SimNetwork(queueCount: 2);
        using VirtioBench standby = NewBench(network);
        for (int i = 0; i < 4; i++)
        {
            driver.Offer(100);
        }

        standby.LoadFrom(_bench);
        byte[][] frames =
            [NetDriver.Frame(60, Other), NetDriver.Frame(60, Group), tagged, NetDriver.Frame(60, "02:00:00:00:00:09")];
        Array.ForEach(frames, frame => network.Receive(NetDriver.With(default, frame)));
        standby.Harness.EventLoop.RunPosted();

        byte[] index = new byte[2];
        Assert.True(standby.Harness.Ram.TryRead(standby.Transport.Queue(0).Used + 2, index));
        Assert.Equal([3, 0], index); // the last one is for somebody else
        Assert.Equal(0, network.WaitingCount());
    }

    [Theory]
    [InlineData(Other, 1500, "52:54:00:12:34:56 with MTU 1500 there, 52:54:00:12:34:57 with MTU 1500 here")]
    [InlineData(Own, 9000, "MTU 1500 there, 52:54:00:12:34:56 with MTU 9000 here")]
    public void Rule_33_another_nic_is_refused_and_both_are_named(string mac, ushort mtu, string words)
    {
        Assert.True(MacAddress.TryParse(mac, out MacAddress address));
        var options = new VirtioNetOptions { Mac = address, MtuBytes = mtu };
        using var standby = new VirtioBench(context => new VirtioNet(context, 0, new SimNetwork(2), options));

        StateFormatException error = Assert.Throws<StateFormatException>(() => standby.LoadFrom(_bench));

        Assert.Contains(words, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Rule_33_features_in_use_that_are_not_offered_here_are_named()
    {
        _ = new NetDriver(_bench, NetDriver.Everything | NetDriver.MultiQueue, pairs: 2);
        using VirtioBench standby = NewBench(new SimNetwork(queueCount: 2) { HasOffloads = false });

        StateFormatException error = Assert.Throws<StateFormatException>(() => standby.LoadFrom(_bench));

        Assert.Contains("features 186 are in use there and not offered here", error.Message, StringComparison.Ordinal);
    }

    private const byte VirtioNetFilterTableMax = 64;

    private static byte[] Mac(string text)
    {
        byte[] bytes = new byte[MacAddress.Bytes];
        Assert.True(MacAddress.TryParse(text, out MacAddress mac));
        mac.Write(bytes);
        return bytes;
    }

    private static VirtioBench NewBench(SimNetwork network)
        => new(context => new VirtioNet(context, 0, network, new VirtioNetOptions()));

    // Away from reset in every field: once around all queues, modes, tables, and in the middle of an announcement.
    private static void Work(VirtioBench bench, VirtioPciTransport transport)
    {
        var driver = new NetDriver(
            bench, (NetDriver.Everything | NetDriver.MultiQueue | NetDriver.EventIndex) & ~NetDriver.Mtu, pairs: 2);
        driver.Command(4, 0, 2, 0);
        driver.Command(5, 0, (byte)NetDriver.GuestChecksum, 0, 0, 0, 0, 0, 0, 0);
        byte[] many = [.. Enumerable.Range(0, VirtioNetFilterTableMax + 1).SelectMany(_ => Mac(Other))];
        driver.Command(1, 0, [65, 0, 0, 0, .. many, 65, 0, 0, 0, .. many]);
        transport.ResumeInFlight();
        transport.NotifyConfigChanged();
        driver.Command(1, 1, Mac(Other));
        driver.Command(0, 0, 0);
        for (byte mode = 1; mode <= 5; mode++)
        {
            driver.Command(0, mode, 1);
        }

        VirtioPciDriver pci = driver.Pci;
        driver.Send(NetDriver.With(default, NetDriver.Frame(60)));
        pci.WriteCommon(0, 4, 1);
        pci.WriteCommon(8, 4, 1);
        pci.WriteCommon(22, 2, 7);
        pci.WritePci(pci.MsixCapability + 2, 2, 0x4000); // the pin, so that the ISR is set
        transport.NotifyConfigChanged();
        pci.WritePci(pci.MsixCapability + 2, 2, 0xC000);
    }

    private NetDriver NotPromiscuous()
    {
        var driver = new NetDriver(_bench, NetDriver.Everything | NetDriver.MultiQueue, pairs: 2);
        Assert.Equal(NetDriver.Ok, driver.Command(0, 0, 0));
        return driver;
    }

    private bool Comes(NetDriver driver, byte[] frame)
    {
        driver.Offer(100);
        int before = driver.Queues[0].UsedIndex;
        _network.Receive(NetDriver.With(default, frame));
        _bench.Harness.EventLoop.RunPosted();
        Assert.Equal(0, _network.WaitingCount());
        return driver.Queues[0].UsedIndex != before;
    }
}
