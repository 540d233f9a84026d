using System;
using System.Collections.Generic;
using System.Linq;
using Hypervisor.Backends.Block;
using Hypervisor.Core.State;
using Hypervisor.Devices;
using Hypervisor.Devices.Virtio;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Virtio;

public sealed class VirtioCheckpointTests : IDisposable
{
    private const int DiskBytes = 1 << 20;
    private const byte Ok = 0, Untouched = 0xFF, NeedsReset = 64;

    private readonly List<VirtioBench> _benches = [];

    public static TheoryData<string> Kinds()
    {
        var kinds = new TheoryData<string>();
        foreach (DeviceCatalog.Entry entry in DeviceCatalog.All)
        {
            // The others have tests of their own: VirtioNetControlTests, VirtioConsoleTests, VirtioBalloonTests.
            if (entry.Name is not ("virtio-net-pci" or "virtio-serial-pci" or "virtio-balloon-pci"))
            {
                kinds.Add(entry.Name);
            }
        }

        return kinds;
    }

    public void Dispose() => _benches.ForEach(bench => bench.Dispose());

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_kind_of_device_round_trips_in_the_middle_of_its_work(string kind)
    {
        VirtioBench last = null!;
        SimDisk disk = null!;
        CheckpointAssert.RoundTrips(
            () =>
            {
                disk = new SimDisk(DiskBytes);
                last = NewBench(kind, disk);
                return last.Transport;
            },
            transport => Work(last, disk, transport));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Instances_of_a_kind_have_sections_of_their_own(string kind)
    {
        using var harness = new DeviceHarness();
        DeviceCatalog.Entry entry = DeviceCatalog.All.ToArray().Single(entry => entry.Name == kind);

        SectionId[] sections = [.. Enumerable.Range(0, 3).Select(i => entry.Create(
            harness.Context, new VirtioSettings((ushort)i) { Disk = new SimDisk(DiskBytes) }).Section)];

        Assert.Equal(3, sections.Distinct().Count());
    }

    [Fact]
    public void Rule_14_requests_in_flight_are_issued_again_in_their_order_and_complete_once()
    {
        var before = new SimDisk(DiskBytes);
        VirtioBench primary = NewBench("virtio-blk-pci", before);
        var driver = new BlkDriver(primary, BlkDriver.AllFeatures | BlkDriver.EventIndex);
        int done = driver.Submit(BlkDriver.Out, 100, BlkDriver.Pattern(512, 1));
        before.CompleteAll();
        primary.Harness.EventLoop.RunPosted();
        int first = driver.Submit(BlkDriver.Out, 0, BlkDriver.Pattern(2048, 2), 0, isIndirect: true);
        int second = driver.Submit(BlkDriver.Out, 2, BlkDriver.Pattern(2048, 3)); // overlaps the first
        int flush = driver.Submit(BlkDriver.Flush, 0);
        int read = driver.Submit(BlkDriver.In, 100, null, 512);
        int waiting = driver.Prepare(BlkDriver.GetId, 0, null, 20); // its notification is lost in the cut
        driver.Queue.SetUsedEvent(1);
        before.Complete(0); // done on the old disk, but the guest has not heard of it

        var after = new SimDisk(DiskBytes);
        before.Data.CopyTo(after.Data, 0);
        VirtioBench standby = NewBench("virtio-blk-pci", after);
        standby.LoadFrom(primary);
        standby.Transport.ResumeInFlight();

        Assert.Equal(
            [(BlockOperation.Write, 0, 2048), (BlockOperation.Write, 1024, 2048), (BlockOperation.Flush, 0, 0),
                (BlockOperation.Read, 51200, 512)],
            after.Log);
        after.CompleteAll();
        standby.Harness.EventLoop.RunPosted();
        Assert.All([done, first, second, flush, read, waiting], slot => Assert.Equal(Ok, Status(standby, slot)));
        Assert.Equal(6, UsedIndex(standby));
        Assert.Equal(BlkDriver.Pattern(2048, 2)[..1024], after.Data[..1024]);
        Assert.Equal(BlkDriver.Pattern(2048, 3), after.Data[1024..3072]);
        Assert.Equal(BlkDriver.Pattern(512, 1), Data(standby, read, 512));
        Assert.NotEmpty(standby.Harness.Messages);
    }

    [Fact]
    public void Section_taken_before_the_requests_were_issued_again_still_holds_them()
    {
        var disk = new SimDisk(DiskBytes);
        VirtioBench primary = NewBench("virtio-blk-pci", disk);
        var driver = new BlkDriver(primary);
        driver.Submit(BlkDriver.Flush, 0);
        driver.Submit(BlkDriver.In, 0, null, 512);
        VirtioBench middle = NewBench("virtio-blk-pci", new SimDisk(DiskBytes));
        middle.LoadFrom(primary);
        var last = new SimDisk(DiskBytes);
        VirtioBench standby = NewBench("virtio-blk-pci", last);

        standby.LoadFrom(middle);
        standby.Transport.ResumeInFlight();

        Assert.Equal([BlockOperation.Flush, BlockOperation.Read], last.Log.Select(entry => entry.Operation));
    }

    [Fact]
    public void Completions_from_before_a_load_concern_nobody()
    {
        var disk = new SimDisk(DiskBytes);
        VirtioBench bench = NewBench("virtio-blk-pci", disk);
        var driver = new BlkDriver(bench);
        VirtioBench empty = NewBench("virtio-blk-pci", new SimDisk(DiskBytes));
        _ = new BlkDriver(empty);
        int slot = driver.Submit(BlkDriver.In, 0, null, 512);

        bench.LoadFrom(empty);
        disk.CompleteAll();
        bench.Harness.EventLoop.RunPosted();

        Assert.Equal(0, UsedIndex(bench));
        Assert.Equal(0, ((VirtioBlk)bench.Transport.Device).InFlightCount);
        Assert.NotEqual(Ok, Status(bench, slot) - Untouched);
        Assert.Empty(bench.Harness.Messages);
    }

    [Theory]
    [InlineData(0UL)]           // the data part has no bytes now
    [InlineData(0x7FFF_FFFFUL)] // and now it lies outside RAM
    [InlineData(0x30_0000UL)]   // and now three of them no longer fit into the memory for requests in flight
    public void Guest_that_wrote_over_chains_in_flight_breaks_nothing_else(ulong lengthBytes)
    {
        var disk = new SimDisk(16 << 20);
        VirtioBench primary = NewBench("virtio-blk-pci", disk, 1 << 24);
        var driver = new BlkDriver(primary);
        for (int i = 0; i < 8; i++)
        {
            driver.Submit(BlkDriver.In, 0, null, 64 * 512);
        }

        for (int i = 0; i < 8; i++)
        {
            driver.Queue.SetDescriptor((i * 4) + 1, 0x20_0000, (uint)lengthBytes, 3, (ushort)((i * 4) + 3));
        }

        VirtioBench standby = NewBench("virtio-blk-pci", new SimDisk(16 << 20), 1 << 24);
        standby.LoadFrom(primary);
        standby.Transport.ResumeInFlight();

        Assert.Equal(8, disk.Pending.Count);
        Assert.Equal(NeedsReset, standby.Probe().Status & NeedsReset);
    }

    [Fact]
    public void Damaged_section_is_refused()
    {
        VirtioPciTransport transport = NewBench("virtio-rng-pci", new SimDisk(DiskBytes)).Transport;

        CheckpointAssert.RefusesDamage(() => transport);
    }

    private static void Work(VirtioBench bench, SimDisk disk, VirtioPciTransport transport)
    {
        VirtioPciDriver pci = bench.Probe();
        bool isDisk = transport.Device is VirtioBlk;
        Assert.True(pci.Negotiate(VirtioPciDriver.Version1 | (isDisk ? BlkDriver.ConfigWce : 0)));
        var queue = new VirtqueueDriver(bench.Harness.Ram, 0x10_0000, 32);
        pci.SetUpQueue(0, queue, 1);
        pci.WriteCommon(16, 2, 0);
        pci.Start();

        // Once through the ring with the pin as interrupt, so that the ISR is set; then MSI-X, with the function
        // masked.
        if (isDisk)
        {
            pci.WriteConfig(32, 1, 0);
            bench.Harness.Ram.TryWrite(0x20_0000, [8, 0, 0, 0]);
            queue.Add((0x20_0000UL, 16u, false), (0x20_1000UL, 21u, true));
            pci.Kick(0);
            bench.Harness.Ram.TryWrite(0x20_0000, [0, 0, 0, 0]);
            queue.Add((0x20_0000UL, 16u, false), (0x20_1000UL, 513u, true));
            disk.Resize(2 * DiskBytes);
            ((VirtioBlk)transport.Device).OnResized();
        }
        else
        {
            queue.Add((0x20_1000UL, 21u, true));
            transport.NotifyConfigChanged();
        }

        pci.Kick(0);
        pci.WriteCommon(0, 4, 1);
        pci.WriteCommon(8, 4, 1);
        pci.WriteCommon(22, 2, 7);
        pci.WritePci(pci.MsixCapability + 2, 2, 0xC000);
        Signal(transport);
    }

    // Event-index bookkeeping moves only when that feature is in use.
    private static void Signal(VirtioPciTransport transport)
    {
        ulong before = transport.Negotiation.Accepted;
        transport.Negotiation.Accepted |= VirtioFeature.RingEventIndex;
        transport.Queue(0).TakeInterrupt();
        transport.Negotiation.Accepted = before;
    }

    private static byte Status(VirtioBench bench, int slot) => Bytes(bench, BlkDriver.SlotGpa(slot) + 0x800, 1)[0];

    private static byte[] Data(VirtioBench bench, int slot, int count)
        => Bytes(bench, BlkDriver.SlotGpa(slot) + 0x1000, count);

    private static ushort UsedIndex(VirtioBench bench)
        => BitConverter.ToUInt16(Bytes(bench, bench.Transport.Queue(0).Used + 2, 2));

    private static byte[] Bytes(VirtioBench bench, ulong gpa, int count)
    {
        byte[] bytes = new byte[count];
        Assert.True(bench.Harness.Ram.TryRead(gpa, bytes));
        return bytes;
    }

    private VirtioBench NewBench(string kind, SimDisk disk, long ramBytes = 1 << 22)
    {
        DeviceCatalog.Entry entry = DeviceCatalog.All.ToArray().Single(entry => entry.Name == kind);
        var bench = new VirtioBench(context => entry.Create(context, new VirtioSettings(0) { Disk = disk }), ramBytes);
        _benches.Add(bench);
        return bench;
    }
}
