using System;
using System.Collections.Generic;
using System.IO;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Wire;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Replication.Session;

/// <content>What a process before left behind.</content>
public sealed partial class StandbyWorkerTests
{
    [Fact]
    public void Rule_44_disks_that_somebody_else_wrote_to_are_compared_as_a_whole()
    {
        CopyAll();

        Restart();
        Assert.Equal(new ReplicaPoint(7, 0), _worker.RestoredMark!.Value.Point);

        _imagesWritten = DateTime.UtcNow.AddMinutes(1);
        Restart();
        Assert.False(_worker.RestoredMark!.Value.Point.IsKnown);
    }

    [Fact]
    public void Rule_37_disks_that_the_guest_ran_from_stand_at_no_point_and_know_their_generation()
    {
        CopyAll();
        _worker.WriteGeneration(5, 0);
        Assert.Null(Await(StandbyEventKind.GenerationWritten));

        Restart();

        Assert.False(_worker.RestoredMark!.Value.Point.IsKnown);
        Assert.Equal(StandbyPhase.Promoted, _worker.RestoredMark.Value.Phase);
        Assert.Equal(5ul, _worker.RestoredMark.Value.Generation);
    }

    [Fact]
    public void Copy_that_was_cut_off_leaves_the_disks_at_the_point_before_it()
    {
        var before = new ReplicaPoint(3, 44);
        Begin(before);
        _worker.ApplyCopied(Block(1));

        Restart();

        Assert.Equal(StandbyPhase.Incomplete, _worker.RestoredMark!.Value.Phase);
        Assert.Equal(before, _worker.RestoredMark.Value.Point);
    }

    [Fact]
    public void Rule_38_disks_are_flushed_before_the_journal_that_could_repeat_their_writes_is_forgotten()
    {
        Begin();
        Apply(1);
        long journaled = _first.LengthBytes + _second.LengthBytes;
        List<long> atFlush = [];
        _disk.OnFlush = () => atFlush.Add(_first.LengthBytes + _second.LengthBytes);

        Begin(new ReplicaPoint(7, 1));

        Assert.True(journaled > 0);
        Assert.Equal([journaled], atFlush);
    }

    [Fact]
    public void Disks_stand_at_the_last_epoch_of_the_journal()
    {
        _ = CommitOne();

        Restart();

        Assert.Equal(new ReplicaPoint(7, 1), _worker.RestoredMark!.Value.Point);
        Assert.Equal(0x11, _disk.Content[0]);
    }

    [Theory]
    [InlineData(true, 0)]
    [InlineData(false, 1)]
    public void Rule_37_marks_of_a_primary_are_not_true_once_an_older_journal_was_replayed(bool hasJournal, int points)
    {
        if (hasJournal)
        {
            _ = CommitOne();
        }
        else
        {
            CopyAll();
        }

        _worker.Dispose();
        string path = Directory.CreateDirectory(Path.Combine(_folder, "primary")).FullName + "/intent.0";
        using (var primary = new WriteIntentLog(path, DiskBytes))
        {
            primary.Begin(new ReplicaPoint(9, 0));
        }

        using var log = new WriteIntentLog(path, DiskBytes);
        _intents = [log];
        _worker = NewWorker();

        Assert.Equal(points, log.Points.Count);
    }

    [Fact]
    public void Rule_24_disk_that_grew_under_the_standby_is_whole_for_the_guest_that_goes_on_there()
    {
        using var grown = new SimDisk(512) { IsImmediate = true };
        _filters.Add(new EpochTagFilter(grown, 0));
        CopyAll();
        grown.Submit(new BlockRequest(static _ => { }) { Operation = BlockOperation.Resize, LengthBytes = 4096 });

        _worker.GoLive(State(0));

        Assert.Null(Await(StandbyEventKind.WentLive));
        Assert.Equal(4096, _filters[0].SizeAheadBytes);
    }
}
