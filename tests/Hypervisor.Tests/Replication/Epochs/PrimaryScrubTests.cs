using System;
using System.Linq;
using Hypervisor.Backends.Block;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Wire;
using Xunit;

namespace Hypervisor.Tests.Replication.Epochs;

public sealed class PrimaryScrubTests
{
    private readonly RecordedPrimary _primary = new RecordedPrimary().Protect();

    [Fact]
    public void Ranges_travel_in_their_place_and_are_the_same_once_their_epochs_are_applied()
    {
        Assert.Null(_primary.Core.StartScrub(4096));
        Assert.Contains("scrub 4096", _primary.Log);
        _primary.Core.OnDiskWrite(Flush(), _primary.Now);
        _primary.Core.OnScrubRead(Scrub(disk: 0), _primary.Now);
        _primary.Now += 60_000_000;
        _primary.Core.OnTick(_primary.Now);
        _primary.Core.OnCutTaken(1, _primary.Now);
        _primary.Core.OnScrubRead(Scrub(ScrubMessage.Ram), _primary.Now);
        _primary.Core.OnCaptureDone(1, [], _primary.Now);
        _primary.Core.OnScrubSent();

        ScrubMessage[] sent = [.. _primary.Sent.OfType<ScrubMessage>()];
        Assert.Equal([(1ul, 1u), (1ul, 0u)], sent.Select(scrub => (scrub.Epoch, scrub.Order)));
        Assert.Equal(2u, _primary.Sent.OfType<EpochEndMessage>().Single().Totals.Scrubs);
        _primary.Ack(1, applied: 0);
        Assert.Equal(ScrubState.Running, State);

        _primary.EndEpoch(2);
        _primary.Ack(2, applied: 1);

        Assert.Equal(ScrubState.Same, State);
        Assert.Contains("scrubbed 8192 same", _primary.Log);
    }

    [Fact]
    public void Rule_25_scrub_is_not_over_while_ranges_are_to_come()
    {
        Assert.Null(_primary.Core.StartScrub(4096));
        _primary.Core.OnScrubRead(Scrub(disk: 0), _primary.Now);
        _primary.EndEpoch(1);
        _primary.EndEpoch(2);
        _primary.Ack(1, applied: 0);
        _primary.Ack(2, applied: 1);
        Assert.Equal(ScrubState.Running, State);

        _primary.Core.OnScrubSent();

        Assert.Equal(ScrubState.Same, State);
    }

    [Fact]
    public void End_of_protection_ends_it_with_the_reason()
    {
        Assert.Null(_primary.Core.StartScrub(4096));

        _primary.Core.OnMessage(
            new AbortMessage { Reason = "scrub: disk a", Incarnation = RecordedPrimary.Incarnation }, _primary.Now);

        Assert.Equal(ScrubState.Ended, State);
        Assert.Contains("scrubbed 0 standby gave up: scrub: disk a", _primary.Log);
        _primary.Core.OnScrubRead(Scrub(disk: 0), _primary.Now); // too late
        Assert.False(_primary.HasSent(MessageKind.Scrub));
    }

    [Fact]
    public void It_is_refused_without_protection_and_beside_another_one()
    {
        Assert.Contains("Alone", new RecordedPrimary().Start().Core.StartScrub(1), StringComparison.Ordinal);
        Assert.Null(_primary.Core.StartScrub(1));
        Assert.Contains("one is running", _primary.Core.StartScrub(1), StringComparison.Ordinal);
    }

    private ScrubState State => _primary.Core.Status(_primary.Now).Scrub.State;

    private static DiskWriteMessage Flush() => new()
    {
        Epoch = 1,
        Disk = 0,
        Operation = BlockOperation.Flush,
        OffsetBytes = 0,
        LengthBytes = 0,
    };

    private static ScrubMessage Scrub(ushort disk) => new() { Range = new DiskRange(disk, 0, 4096) };
}
