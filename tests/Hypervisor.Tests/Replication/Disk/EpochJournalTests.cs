using System;
using System.IO;
using Hypervisor.Backends.Block;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;
using Hypervisor.Simulation;
using Xunit;

namespace Hypervisor.Tests.Replication.Disk;

/// <summary>The standby's journal over disks and files that lose power.</summary>
public sealed class EpochJournalTests
{
    private const int DiskBytes = 64;

    private readonly CrashPoint _crash = new();
    private readonly SimJournalStore _first;
    private readonly SimJournalStore _second;
    private readonly SimDisk[] _disks;

    public EpochJournalTests()
    {
        var world = new World(1, null);
        _first = new SimJournalStore(world, _crash);
        _second = new SimJournalStore(world, _crash);
        _disks = [new SimDisk(world, DiskBytes, _crash), new SimDisk(world, DiskBytes, _crash)];
    }

    [Fact]
    public void Rule_17_epoch_reaches_no_disk_before_it_is_applied()
    {
        EpochJournal journal = NewJournal();

        journal.Append(Epoch(1, Write(0, 0, 0x11)), isDurable: true);

        Assert.Equal(0, _disks[0].Bytes[0]);
    }

    [Fact]
    public void Rule_18_overlapping_writes_keep_their_order_over_disks()
    {
        EpochJournal journal = NewJournal();
        StagedEpoch epoch = Epoch(1, Write(0, 0, 0x11), Write(1, 0, 0x33), Write(0, 0, 0x22));

        journal.Append(epoch, isDurable: true);
        journal.Apply(epoch, static _ => { });

        Assert.Equal(0x22, _disks[0].Bytes[0]);
        Assert.Equal(0x33, _disks[1].Bytes[0]);
    }

    [Fact]
    public void Rule_19_durable_epoch_survives_a_power_loss()
    {
        EpochJournal journal = NewJournal();
        journal.Append(Epoch(1, Write(0, 0, 0x11)), isDurable: true);

        LosePower();

        Assert.Equal((7ul, 1ul), NewJournal(isFresh: false).Recover());
        Assert.Equal(0x11, _disks[0].Bytes[0]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Rule_20_crash_at_every_step_leaves_a_whole_epoch(bool isDurable)
    {
        for (int steps = 0; steps < 40; steps++)
        {
            foreach (SimDisk disk in _disks)
            {
                disk.WriteZeroes(0, DiskBytes);
                disk.Flush();
            }

            CrashAndRecover(
                steps,
                isDurable,
                Epoch(1, Write(0, 0, 1), Write(1, 16, 1)),
                Epoch(2, Write(0, 0, 2), Write(1, 16, 2)));

            Assert.Equal(_disks[0].Bytes[0], _disks[1].Bytes[16]);
        }
    }

    [Fact]
    public void Rule_24_disk_that_changes_its_size_has_that_of_a_whole_epoch_after_a_crash_at_every_step()
    {
        long[] sizes = [DiskBytes, 32, 128];
        for (int steps = 0; steps < 60; steps++)
        {
            foreach (SimDisk disk in _disks)
            {
                disk.Resize(DiskBytes);
                disk.WriteZeroes(0, DiskBytes);
                disk.Flush();
            }

            CrashAndRecover(
                steps,
                isDurable: true,
                Epoch(1, Write(0, 48, 1), Resize(0, sizes[1]), Write(1, 16, 1)),
                Epoch(2, Resize(0, sizes[2]), Write(0, 96, 2), Write(1, 16, 2)));

            int whole = _disks[1].Bytes[16];
            Assert.Equal(sizes[whole], _disks[0].LengthBytes);
            Assert.Equal(whole == 2 ? 2 : 0, whole == 2 ? _disks[0].Bytes[96] + _disks[0].Bytes[48] : 0);
        }
    }

    [Fact]
    public void Record_outside_a_disk_that_nobody_resized_is_an_error()
    {
        EpochJournal journal = NewJournal();
        journal.Append(Epoch(1, Write(0, 48, 1)), isDurable: true);
        _disks[0].Resize(32);

        Assert.Throws<IOException>(() => NewJournal(isFresh: false).Recover());
        Assert.Equal(32, _disks[0].LengthBytes);
    }

    [Fact]
    public void Rule_20_replay_may_be_repeated()
    {
        EpochJournal journal = NewJournal();
        journal.Append(Epoch(1, Write(0, 0, 1), Write(0, 16, 1)), isDurable: true);
        journal.Append(Epoch(2, Write(0, 0, 2), Zeroes(0, 16)), isDurable: true);

        new JournalScan(_first).Replay(_disks, []);
        new JournalScan(_first).Replay(_disks, []);

        Assert.Equal(2, _disks[0].Bytes[0]);
        Assert.Equal(0, _disks[0].Bytes[16]);
    }

    [Fact]
    public void Rule_20_recovery_that_dies_at_any_step_may_be_repeated()
    {
        for (int steps = 0; steps < 60; steps++)
        {
            EpochJournal journal = NewJournal();
            for (ulong number = 1; number <= 16; number++)
            {
                StagedEpoch epoch = Epoch(number, Write(0, 0, (byte)number));
                journal.Append(epoch, isDurable: true);
                journal.Apply(epoch, static _ => { });
            }

            _crash.Set(steps);
            try
            {
                NewJournal(isFresh: false).Recover();
            }
            catch (CrashPoint.CrashedException)
            {
            }

            _crash.Clear();
            NewJournal(isFresh: false).Recover();

            Assert.Equal(16, _disks[0].Bytes[0]);
        }
    }

    [Fact]
    public void Rule_20_torn_tail_is_cut_at_every_length()
    {
        EpochJournal journal = NewJournal();
        journal.Append(Epoch(1, Write(0, 0, 1)), isDurable: true);
        long whole = _first.LengthBytes;
        journal.Append(Epoch(2, Write(0, 0, 2)), isDurable: true);
        byte[] bytes = new byte[_first.LengthBytes];
        _first.Read(0, bytes);

        for (int length = (int)whole; length < bytes.Length; length++)
        {
            _first.Truncate(length);
            var scan = new JournalScan(_first);
            Assert.Equal(whole, scan.ValidBytes);
            Assert.Single(scan.Epochs);
            _first.Truncate(0);
            _first.Append(bytes);
        }
    }

    [Fact]
    public void Rule_20_flipped_bit_ends_the_journal_before_its_epoch()
    {
        EpochJournal journal = NewJournal();
        journal.Append(Epoch(1, Write(0, 0, 1)), isDurable: true);
        byte[] bytes = new byte[_first.LengthBytes];
        _first.Read(0, bytes);

        for (int bit = 0; bit < bytes.Length * 8; bit++)
        {
            byte[] damaged = (byte[])bytes.Clone();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            _first.Truncate(0);
            _first.Append(damaged);
            Assert.Empty(new JournalScan(_first).Epochs);
        }
    }

    [Fact]
    public void Rule_22_journal_that_failed_takes_no_more_epochs()
    {
        EpochJournal journal = NewJournal();
        _first.FailsNext = true;

        Assert.Throws<IOException>(() => journal.Append(Epoch(1, Write(0, 0, 1)), isDurable: true));
        Assert.Throws<IOException>(() => journal.Append(Epoch(1, Write(0, 0, 1)), isDurable: true));
    }

    [Fact]
    public void Rule_23_segments_take_turns_so_that_the_journal_stays_small()
    {
        EpochJournal journal = NewJournal();
        for (ulong number = 1; number <= 200; number++)
        {
            StagedEpoch epoch = Epoch(number, Write(0, 0, (byte)number));
            journal.Append(epoch, isDurable: false);
            journal.Apply(epoch, static _ => { });
        }

        Assert.InRange(_first.LengthBytes + _second.LengthBytes, 1, 2000);
    }

    [Theory]
    [InlineData(BlockOperation.Discard)]
    [InlineData(BlockOperation.WriteZeroes)]
    public void Rule_24_discards_and_zeroes_reach_the_disks_in_their_order(BlockOperation operation)
    {
        EpochJournal journal = NewJournal();
        StagedEpoch epoch = Epoch(
            1, Write(0, 0, 0x11), Write(1, 0, 0x22), Without(operation, 0, 0), Without(operation, 1, 0),
            Write(1, 0, 0x33));

        journal.Append(epoch, isDurable: true);
        journal.Apply(epoch, static _ => { });

        Assert.Equal(0, _disks[0].Bytes[0]);
        Assert.Equal(0x33, _disks[1].Bytes[0]);
        LosePower();
        Assert.Equal((7ul, 1ul), NewJournal(isFresh: false).Recover());
        Assert.Equal(0, _disks[0].Bytes[0]);
    }

    [Fact]
    public void Rule_21_finished_journal_replays_nothing_over_newer_writes()
    {
        EpochJournal journal = NewJournal();
        StagedEpoch epoch = Epoch(1, Write(0, 0, 1));
        journal.Append(epoch, isDurable: true);
        journal.Apply(epoch, static _ => { });
        journal.Finish();
        _disks[0].Write(0, new byte[16]);

        NewJournal(isFresh: false).Recover();

        Assert.Equal(0, _disks[0].Bytes[0]);
    }

    private static DiskWriteMessage Write(ushort disk, long offset, byte value)
    {
        byte[] data = new byte[16];
        Array.Fill(data, value);
        var message = new DiskWriteMessage
        {
            Disk = disk,
            Operation = BlockOperation.Write,
            OffsetBytes = offset,
            LengthBytes = data.Length,
        };
        message.Attach(data, null);
        return message;
    }

    private static DiskWriteMessage Zeroes(ushort disk, long offset)
        => Without(BlockOperation.WriteZeroes, disk, offset);

    private static DiskWriteMessage Resize(ushort disk, long lengthBytes) => new()
    {
        Disk = disk,
        Operation = BlockOperation.Resize,
        OffsetBytes = 0,
        LengthBytes = lengthBytes,
    };

    private static DiskWriteMessage Without(BlockOperation operation, ushort disk, long offset)
        => new() { Disk = disk, Operation = operation, OffsetBytes = offset, LengthBytes = 16 };

    private static StagedEpoch Epoch(ulong number, params DiskWriteMessage[] writes)
    {
        var epoch = new StagedEpoch();
        epoch.Begin(number);
        foreach (DiskWriteMessage write in writes)
        {
            write.Epoch = number;
            epoch.Add(write);
        }

        return epoch;
    }

    /// <summary>Appends and applies epochs, loses power after so many steps, and replays what is left.</summary>
    private void CrashAndRecover(int steps, bool isDurable, params StagedEpoch[] epochs)
    {
        EpochJournal journal = NewJournal();
        _crash.Set(steps);
        try
        {
            foreach (StagedEpoch epoch in epochs)
            {
                journal.Append(epoch, isDurable);
                journal.Apply(epoch, static _ => { });
            }
        }
        catch (CrashPoint.CrashedException)
        {
        }

        _crash.Clear();
        LosePower();
        NewJournal(isFresh: false).Recover();
    }

    private EpochJournal NewJournal(bool isFresh = true)
    {
        var journal = new EpochJournal(_first, _second, _disks, 600);
        if (isFresh)
        {
            journal.Begin(7);
        }

        return journal;
    }

    private void LosePower()
    {
        foreach (SimDisk disk in _disks)
        {
            disk.LosePower();
        }

        _first.LosePower();
        _second.LosePower();
    }
}
