using System;
using System.Collections.Generic;
using Hypervisor.Backends.Block;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;
using Hypervisor.Tests.Replication.Epochs;
using Xunit;

namespace Hypervisor.Tests.Replication.Standby;

public sealed class EpochStageTests
{
    private readonly EpochStage _stage = new(
        new StandbyOptions { Node = Guid.NewGuid(), Machine = RecordedPrimary.Machine });

    [Fact]
    public void Times_are_those_of_the_epoch_and_of_the_last_apply()
    {
        _stage.Reset(epochsInFlightMax: 2);

        Commit(1, stageNanos: 10_000, journalNanos: 20_999);
        Assert.Equal(new StandbyTimes(10, 20, 0), _stage.TimesOf(1));
        StagedEpoch applied = _stage.NextToApply()!;
        applied.ApplyNanos = 30_000;
        _stage.Apply(1);
        Commit(2, stageNanos: 40_000, journalNanos: 50_000);

        Assert.Equal(new StandbyTimes(10, 20, 30), _stage.TimesOf(1));
        Assert.Equal(new StandbyTimes(40, 50, 30), _stage.TimesOf(2));
    }

    [Fact]
    public void Gathering_begins_with_the_cut_and_not_with_a_disk_write_before_it()
    {
        _stage.Reset(epochsInFlightMax: 2);
        var write = new DiskWriteMessage
        {
            Epoch = 1,
            Disk = 0,
            Operation = BlockOperation.Flush,
            OffsetBytes = 0,
            LengthBytes = 0,
        };

        Assert.Null(_stage.Park(write, nowNanos: 100));
        Assert.Null(_stage.Park(new SectionMessage { Epoch = 1 }, nowNanos: 200));
        Assert.Null(_stage.Park(new RamBlockMessage { Epoch = 1, PageCount = 0 }, nowNanos: 300));
        var same = new StagedEpoch();
        same.Begin(1);
        same.Add(write);
        same.Add(new SectionMessage { Epoch = 1 });
        same.Add(new RamBlockMessage { Epoch = 1, PageCount = 0 });
        Assert.Null(_stage.End(End(same)));

        Assert.Equal(200, _stage.NextToCommit()!.CapturedNanos);
    }

    [Fact]
    public void Rule_24_range_behind_the_old_end_of_a_disk_fits_after_its_resize_and_not_before()
    {
        long end = RecordedPrimary.Machine.Disks[0].LengthBytes;
        _stage.Reset(epochsInFlightMax: 2);

        string? early = EndOf(1, Change(BlockOperation.WriteZeroes, end, 512));
        _stage.Reset(epochsInFlightMax: 2);
        string? grown = EndOf(
            1, Change(BlockOperation.Resize, 0, end + 512), Change(BlockOperation.WriteZeroes, end, 512));
        string? next = EndOf(2, Change(BlockOperation.WriteZeroes, end, 512));
        string? odd = EndOf(3, Change(BlockOperation.Resize, 0, end + 1));

        Assert.Contains($"disk 0 has {end} bytes", early);
        Assert.Null(grown);
        Assert.Null(next);
        Assert.Contains($"to {end + 1} bytes", odd);
        Assert.True(_stage.NextToCommit()!.HasFlush); // durable before anybody is told
    }

    [Fact]
    public void Shared_disk_is_neither_copied_nor_compared_nor_resized_nor_journaled()
    {
        MachineIdentity machine = RecordedPrimary.Machine;
        var stage = new EpochStage(new StandbyOptions
        {
            Node = Guid.NewGuid(),
            Machine = machine with { Disks = [machine.Disks[0] with { IsShared = true }] },
        });
        stage.Reset(epochsInFlightMax: 2);
        var range = new DiskRange(0, 0, 512);

        Assert.Contains("is shared", stage.FindRangeError(new DiskBlockMessage
        {
            Disk = 0,
            IsZero = true,
            OffsetBytes = 0,
            LengthBytes = 512,
        }));
        Assert.Contains("is shared", stage.FindRangeError(new DiskDigestMessage
        {
            Range = range,
            Digest = new byte[32],
        }));
        Assert.Contains("is shared", stage.FindRangeError(new ScrubMessage { Range = range }));
        Assert.Contains("is shared", stage.FindRangeError(Change(BlockOperation.WriteZeroes, 0, 512)));
        Assert.Contains("resize of disk 0", EndOf(stage, 1, Change(BlockOperation.Resize, 0, 8192)));
        stage.Reset(epochsInFlightMax: 2);
        Assert.Null(EndOf(stage, 1, Change(BlockOperation.WriteZeroes, 0, 512)));
        StagedEpoch epoch = stage.NextToCommit()!;
        Assert.Empty(epoch.DiskWrites);
        Queue<DiskWriteMessage> kept = new();
        _ = epoch.MoveSharedTo(kept);
        Assert.Equal(512, Assert.Single(kept).LengthBytes);
    }

    private static DiskWriteMessage Change(BlockOperation operation, long offset, long length)
        => new() { Disk = 0, Operation = operation, OffsetBytes = offset, LengthBytes = length };

    private string? EndOf(ulong number, params DiskWriteMessage[] writes) => EndOf(_stage, number, writes);

    private static string? EndOf(EpochStage stage, ulong number, params DiskWriteMessage[] writes)
    {
        var same = new StagedEpoch();
        same.Begin(number);
        for (int i = 0; i < writes.Length; i++)
        {
            writes[i].Epoch = number;
            writes[i].Order = (uint)i;
            Assert.Null(stage.Park(writes[i], nowNanos: 1));
            same.Add(writes[i]);
        }

        return stage.End(End(same));
    }

    private void Commit(ulong number, long stageNanos, long journalNanos)
    {
        var empty = new StagedEpoch();
        empty.Begin(number);
        Assert.Null(_stage.End(End(empty)));
        StagedEpoch epoch = _stage.NextToCommit()!;
        epoch.StageNanos = stageNanos;
        epoch.JournalNanos = journalNanos;
        _ = _stage.Commit(number);
    }

    private static EpochEndMessage End(StagedEpoch epoch)
        => new() { Epoch = epoch.Epoch, Totals = epoch.ComputeTotals(), SentNanos = 0, ReleasedEpoch = 0 };
}
