using System;
using System.Buffers.Binary;
using System.Linq;
using Hypervisor.Core.Memory;
using Hypervisor.Core.State;
using Hypervisor.Devices.Virtio;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Virtio;

/// <summary>A balloon's queues. Spec: VIRTIO 1.2, section 5.5.</summary>
public sealed class VirtioBalloonTests : IDisposable
{
    private const ulong Features = VirtioPciDriver.Version1 | VirtioBalloon.Statistics | VirtioBalloon.PagePoison
        | VirtioBalloon.DeflateOnOutOfMemory | VirtioBalloon.PageReporting;
    private const ulong Numbers = 0x10_8000, Queues = 0x10_0000, Given = 0x20_0000;
    private const int Inflate = 0, Deflate = 1, Statistics = 2, Report = 3, ReportOfSpecification = 4;
    private const byte NeedsReset = 64;
    private const long Page = PageKernels.PageBytes;

    private readonly VirtioBench _bench = NewBench();
    private readonly VirtqueueDriver[] _queues = new VirtqueueDriver[5];

    private GuestRam Ram => _bench.Harness.Ram;

    private VirtioBalloon Device => (VirtioBalloon)_bench.Transport.Device;

    public void Dispose() => _bench.Dispose();

    [Fact]
    public void Target_reaches_the_driver_with_an_interrupt_and_its_answer_is_seen()
    {
        VirtioPciDriver pci = Start();

        Device.SetTarget(3 * Page);
        _bench.Harness.EventLoop.RunPosted();
        pci.WriteConfig(4, 4, 2);

        Assert.Equal(3u, pci.ReadConfig(0, 4));
        Assert.Equal(2, pci.ReadIsr() & 2);
        Assert.Equal((3 * Page, 2 * Page), (Device.Status.TargetBytes, Device.Status.ActualBytes));
    }

    [Fact]
    public void Rule_11_pages_given_back_are_zero_and_dirty_and_cost_no_memory()
    {
        VirtioPciDriver pci = Start();
        Fill(Given, 16);
        Clean();

        GiveBack(pci, 0x205, 0x203, 0x204, 0x208, 0x208);

        long[] given = [0x203, 0x204, 0x205, 0x208];
        for (long page = 0x200; page < 0x210; page++)
        {
            bool isGiven = given.Contains(page);
            Assert.Equal(!isGiven, Ram.HasMemory(page * Page, Page));
            Assert.Equal(isGiven, PageKernels.IsZero(Ram.PageBytes(page)));
            Assert.Equal(isGiven, ((PageState)Ram.StateBytes[(int)page] & PageState.Dirty) != 0);
        }

        Assert.True(_queues[Inflate].TryTakeUsed(out _, out uint written));
        Assert.Equal(0u, written);
    }

    [Fact]
    public void Page_of_the_balloon_gets_memory_when_it_is_stored_to()
    {
        VirtioPciDriver pci = Start();
        GiveBack(pci, 0x200);

        _queues[Deflate].Add((Numbers, 4u, false));
        pci.Kick(Deflate);
        Ram.TryWrite(Given, "back"u8);

        Assert.Equal(1, _queues[Deflate].UsedIndex);
        Assert.Equal(PageState.Dirty, (PageState)Ram.StateBytes[0x200]);
        Assert.Equal("back"u8, Ram.PageBytes(0x200)[..4]);
    }

    [Theory]
    [InlineData(uint.MaxValue)]
    [InlineData(0xA0u)]   // the VGA window
    [InlineData(0x1000u)] // behind 16 MiB
    public void Page_that_is_no_ram_is_passed_over_and_its_neighbours_are_not(uint page)
    {
        VirtioPciDriver pci = Start();
        Fill(0x9_F000, 1);
        Fill(0xFF_F000, 1);

        GiveBack(pci, page, 0x9F, 0xFFF);

        Assert.True(PageKernels.IsZero(Ram.PageBytes(0x9F)) && PageKernels.IsZero(Ram.PageBytes(0xFFF)));
        Assert.Equal(1, _queues[Inflate].UsedIndex);
        Assert.Equal(0, pci.Status & NeedsReset);
    }

    [Theory]
    [InlineData(VirtioBalloon.ChainBytesMax, false)]
    [InlineData(VirtioBalloon.ChainBytesMax + 1, true)]
    public void Chain_has_a_longest(int lengthBytes, bool breaks)
    {
        VirtioPciDriver pci = Start();

        _queues[Inflate].Add((0x40_0000UL, (uint)lengthBytes, false));
        pci.Kick(Inflate);

        Assert.Equal(breaks ? NeedsReset : 0, pci.Status & NeedsReset);
    }

    [Theory]
    [InlineData(Report)]
    [InlineData(ReportOfSpecification)]
    public void Reported_pages_are_given_back_whole_pages_only_and_some_at_a_time(int queue)
    {
        VirtioPciDriver pci = Start();
        int pages = (2 * VirtioBalloon.PagesPerHold) + 10;
        Fill(Given - 0x1000, pages + 2);

        _queues[queue].Add((Given - 8, (uint)((pages * Page) + 16), true));
        pci.Kick(queue);
        int after = _queues[queue].UsedIndex;
        bool isBegun = !Ram.HasMemory((long)Given, Page);
        bool isWaiting = Ram.HasMemory((long)Given + (VirtioBalloon.PagesPerHold * Page), Page);
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal((0, true, true, 1), (after, isBegun, isWaiting, _queues[queue].UsedIndex));
        Assert.False(Ram.HasMemory((long)Given, pages * Page));
        Assert.Equal(0x5A, Ram.PageBytes(0x1FF)[^1]);
        Assert.Equal(0x5A, Ram.PageBytes(0x200 + pages)[0]);
    }

    [Fact]
    public void Reported_pages_that_hold_a_poison_keep_it()
    {
        VirtioPciDriver pci = Start();
        pci.WriteConfig(12, 4, 0xAAAA_AAAA);
        Fill(Given, 1);

        _queues[Report].Add((Given, 4096u, true));
        pci.Kick(Report);

        Assert.Equal(1, _queues[Report].UsedIndex);
        Assert.Equal(0x5A, Ram.PageBytes(0x200)[7]);
        Assert.Equal(0xAAAA_AAAA, pci.ReadConfig(12, 4));
    }

    [Fact]
    public void Statistics_are_asked_for_by_giving_the_buffer_back()
    {
        VirtioPciDriver pci = Start();
        byte[] numbers = new byte[20];
        BinaryPrimitives.WriteUInt16LittleEndian(numbers, 4);
        BinaryPrimitives.WriteInt64LittleEndian(numbers.AsSpan(2), 1 << 20);
        BinaryPrimitives.WriteUInt16LittleEndian(numbers.AsSpan(10), 999);
        Ram.TryWrite(Numbers, numbers);

        _queues[Statistics].Add((Numbers, 20u, false));
        pci.Kick(Statistics);
        int held = _queues[Statistics].UsedIndex;
        Device.RefreshStatistics();
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal((0, 1), (held, _queues[Statistics].UsedIndex));
        Assert.Equal(1 << 20, Device.Status.FreeBytes);
        Assert.Null(Device.Status.AvailableBytes);
    }

    [Fact]
    public void Rule_23_guest_that_refills_its_queues_without_end_holds_the_bus_for_a_while_only()
    {
        VirtioPciDriver pci = Start();
        _queues[Inflate].SetDescriptor(0, Numbers, 4, 0, 0);
        _queues[Inflate].SetUsedEvent(0);
        for (int i = 0; i < 64; i++)
        {
            _queues[Inflate].Publish(0);
        }

        pci.Kick(Inflate);
        _queues[Inflate].SetAvailableIndex(0x7FFF);
        pci.Kick(Inflate);

        Assert.Equal(NeedsReset, pci.Status & NeedsReset);
    }

    [Fact]
    public void Every_field_round_trips_in_the_middle_of_a_report()
    {
        VirtioBench bench = null!;
        CheckpointAssert.RoundTrips(
            () => (bench = NewBench()).Transport,
            _ => Work(bench),
            _ =>
            {
                Work(bench);
                bench.Probe().WriteConfig(12, 4, 7);
            });
    }

    [Fact]
    public void Report_in_hand_is_finished_after_a_takeover()
    {
        Work(_bench);
        using VirtioBench standby = NewBench();

        standby.LoadFrom(_bench);
        standby.Transport.ResumeInFlight();
        standby.Harness.EventLoop.RunPosted();

        long done = (VirtioBalloon.PagesPerHold - 1) * Page; // by the primary; a first report had its part
        Assert.False(standby.Harness.Ram.HasMemory((long)Given + done, (1500 * Page) - done));
        standby.Harness.Ram.TryReadU16(standby.Transport.Queue(Report).Used + 2, out ushort used);
        Assert.Equal(2, used);
    }

    [Fact]
    public void Section_with_a_report_at_no_queue_is_refused()
    {
        Work(_bench);
        byte[] section = new byte[1 << 16];
        int length = CheckpointSection.Write(_bench.Transport, section);
        int queue = length - 12; // queue u16, head u16, bytes i64 end it
        section[queue] = 9;
        var codec = StateCodec.Loading(section.AsSpan(CheckpointSection.HeaderBytes, length - 16), 1);
        using VirtioBench other = NewBench();

        try
        {
            other.Transport.Transfer(ref codec);
            Assert.Fail("it was taken");
        }
        catch (StateFormatException error)
        {
            Assert.Contains("queue 9", error.Message);
        }
    }

    private static VirtioBench NewBench() => new(context => new VirtioBalloon(
        context, 0, new VirtioBalloonOptions { DeflatesOnOutOfMemory = true, ReportsFreePages = true }));

    private static VirtqueueDriver SetUp(VirtioBench bench, VirtioPciDriver pci, int index)
    {
        var queue = new VirtqueueDriver(bench.Harness.Ram, Queues + (0x1000UL * (ulong)index), 64);
        pci.SetUpQueue(index, queue, (ushort)index);
        return queue;
    }

    // A target, an answer, a poison, statistics that wait, and half a report.
    private static void Work(VirtioBench bench)
    {
        VirtioPciDriver pci = bench.Probe();
        Assert.True(pci.Negotiate(Features | (1UL << 29)));
        pci.WriteCommon(16, 2, 5);
        VirtqueueDriver inflate = SetUp(bench, pci, Inflate);
        VirtqueueDriver statistics = SetUp(bench, pci, Statistics);
        VirtqueueDriver report = SetUp(bench, pci, Report);
        pci.Start();
        inflate.Add((Numbers, 4u, false));
        pci.Kick(Inflate);
        inflate.Add((Numbers, 4u, false));
        pci.Kick(Inflate);
        var balloon = (VirtioBalloon)bench.Transport.Device;
        balloon.SetTarget(5 * Page);
        bench.Harness.EventLoop.RunPosted();
        pci.WriteConfig(4, 4, 4);
        statistics.Add((Numbers, 10u, false));
        statistics.Add((Numbers, 10u, false));
        pci.Kick(Statistics);
        balloon.RefreshStatistics();
        bench.Harness.EventLoop.RunPosted();
        pci.Kick(Statistics);
        _ = report.Add((Numbers, 8u, true)); // so that the next has a head that is not 0
        pci.Kick(Report);
        report.Add((Given, (uint)(1500 * Page), true));
        pci.Kick(Report);
        pci.WriteCommon(0, 4, 1);
        pci.WriteCommon(8, 4, 1);
        pci.WriteCommon(22, 2, 7);
        pci.WritePci(pci.MsixCapability + 2, 2, 0xC000);
    }

    private VirtioPciDriver Start()
    {
        VirtioPciDriver pci = _bench.Probe();
        Assert.True(pci.Negotiate(Features));
        for (int i = 0; i < _queues.Length; i++)
        {
            _queues[i] = SetUp(_bench, pci, i);
        }

        pci.Start();
        return pci;
    }

    private void GiveBack(VirtioPciDriver pci, params uint[] pages)
    {
        byte[] numbers = new byte[pages.Length * sizeof(uint)];
        Buffer.BlockCopy(pages, 0, numbers, 0, numbers.Length);
        Ram.TryWrite(Numbers, numbers);
        _queues[Inflate].Add((Numbers, (uint)numbers.Length, false));
        pci.Kick(Inflate);
    }

    private void Fill(ulong gpa, int pages)
    {
        byte[] bytes = new byte[pages * Page];
        Array.Fill(bytes, (byte)0x5A);
        Assert.True(Ram.TryWrite(gpa, bytes));
    }

    private void Clean() => DirtyScan.Harvest(Ram, new int[Ram.PageCount], PageState.Clean);
}
