using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Hypervisor.Backends.Block;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Standby;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Replication.Session;

/// <summary>Both sessions over loopback. They wait for what happens, never for a time.</summary>
public sealed class SessionTests
{
    [Fact]
    public void Killed_primary_is_carried_on_without_a_lost_or_invented_line()
    {
        using var pair = new SessionPair();
        pair.Protect();
        pair.Await(() => pair.PrimaryMachine.Step > 60, "the guest does not get on");

        pair.Primary!.Dispose(); // the sockets close, as the kernel closes them for a dead process
        pair.Await(() => pair.StandbyLog.RunningGeneration != 0, "the standby did not take over");
        long stepAtTakeover = pair.StandbyMachine.Step;
        pair.Await(() => pair.StandbyMachine.Step > stepAtTakeover + 20, "the guest stands still");

        pair.StandbyMachine.Pause();
        int lines = SessionPair.AssertContiguous(pair.CombinedOutput());
        Assert.Equal(pair.StandbyMachine.Step, lines);
        Assert.Equal(lines, BinaryPrimitives.ReadInt64LittleEndian(pair.StandbyMachine.Ram.ReadOnlyBytes(0, 8)));
        AssertRecords(pair.StandbyDisks, lines);
        Assert.Equal(2u, pair.StandbyLog.RunningGeneration);
        pair.StandbyMachine.Resume();
    }

    [Fact]
    public void What_is_sent_for_dirty_pages_is_counted()
    {
        using var pair = new SessionPair();
        pair.Protect();
        pair.Await(() => pair.Primary!.Statistics.Epochs > 20, "there are no epochs");

        // Of a run that goes on, one of two figures may be a moment older; and the full copy was sent as well.
        pair.Await(
            () => pair.Primary!.Statistics is var now && now.DeltaBytes > 0 && now.EpochPlainBytes > now.DeltaBytes
                && now.Status.BytesSent > now.EpochSentBytes,
            "deltas, epochs and what was sent do not contain each other");

        PrimaryStatistics numbers = pair.Primary!.Statistics;
        Assert.InRange(numbers.DirtyBytesPerSentByte, 0.01, 4096);
    }

    [Fact]
    public void Every_phase_of_an_epoch_is_measured()
    {
        using var pair = new SessionPair();
        pair.Protect();

        pair.Await(
            () => pair.Primary!.Statistics.Phases.All(phase => phase.Times.Count > 0),
            "a phase is never measured");

        Assert.Equal(
            ["stop", "capture", "arm", "resume", "copy", "send", "stage", "journal", "ack", "release", "apply"],
            pair.Primary!.Statistics.Phases.Select(phase => phase.Name));
        Assert.Equal(
            ["stage True", "journal True", "apply True"],
            pair.Standby.Statistics.Phases.Select(phase => $"{phase.Name} {phase.Times.Count > 0}"));
    }

    [Fact]
    public void Guest_that_was_taken_over_is_protected_again_and_taken_over_again()
    {
        using var pair = new SessionPair();
        pair.Protect();
        pair.Primary!.Dispose();
        pair.Await(() => pair.StandbyLog.RunningGeneration != 0, "the standby did not take over");
        long step = pair.StandbyMachine.Step;

        (PrimarySession second, SessionNode third) = pair.ProtectAgain();
        pair.Await(() => pair.StandbyMachine.Step > step + 60, "the guest does not get on under its new protection");
        Assert.Equal(2u, second.Statistics.Status.Generation); // protection makes no new one (rule 34)
        second.Dispose();
        pair.Await(() => third.Log.RunningGeneration != 0, "the second standby did not take over");
        step = third.Machine.Step;
        pair.Await(() => third.Machine.Step > step + 20, "the guest stands still");

        third.Machine.Pause();
        int lines = SessionPair.AssertContiguous(pair.CombinedOutput(third));
        Assert.Equal(third.Machine.Step, lines);
        AssertRecords(third.Disks, lines);
        Assert.Equal(3u, third.Log.RunningGeneration);
        third.Machine.Resume();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Guest_is_handed_over_on_purpose_and_nothing_is_lost(bool isAskedAtStandby)
    {
        using var pair = new SessionPair();
        pair.Protect();

        if (isAskedAtStandby)
        {
            pair.Standby.TakeOver();
        }
        else
        {
            pair.Primary!.SwitchOver();
        }

        pair.Await(() => pair.StandbyLog.RunningGeneration == 2, $"nobody took over\n{pair.PrimaryLog}");
        pair.Await(() => pair.PrimaryLog.IsPlannedEnd is not null, "the primary did not end");
        Assert.True(pair.PrimaryLog.IsPlannedEnd);
        Assert.Equal(PrimaryState.HandedOver, pair.Primary!.Statistics.Status.State);
        long step = pair.PrimaryMachine.Step; // where it stands is where the other one went on
        pair.Await(() => pair.StandbyMachine.Step > step + 20, "the guest stands still");

        pair.StandbyMachine.Pause();
        string before = pair.PrimaryConsole.Text;
        Assert.Equal(step, SessionPair.AssertContiguous(before));
        Assert.Equal(pair.StandbyMachine.Step, SessionPair.AssertContiguous(before + pair.StandbyConsole.Text));
        pair.StandbyMachine.Resume();
    }

    [Fact]
    public void Cut_link_lets_one_side_run_and_one_only()
    {
        using var pair = new SessionPair();
        pair.Protect();

        pair.Primary!.BreakLink("drill");
        pair.Await(
            () => pair.PrimaryLog.Says("Alone: drill") || pair.PrimaryLog.Says("Demoted: "),
            "the primary neither went on nor gave way");

        if (pair.PrimaryLog.Says("Alone: drill"))
        {
            pair.Await(() => pair.StandbyLog.Says("this copy is outdated"), "the standby did not give way");
            Assert.Equal(0u, pair.StandbyLog.RunningGeneration);
        }
        else
        {
            pair.Await(() => pair.StandbyLog.RunningGeneration == 2, "the standby does not run");
        }
    }

    [Fact]
    public void Hung_primary_is_found_by_its_silence_and_never_lets_out_a_line_afterwards()
    {
        using var pair = new SessionPair(takeoverMillis: 2000);
        pair.Protect();
        pair.Primary!.Hang(true);
        pair.Await(() => pair.StandbyLog.RunningGeneration != 0, "the standby did not take over");
        string before = pair.PrimaryConsole.Text;

        pair.Primary.Hang(false);
        pair.Await(() => pair.Primary.Statistics.Status.State == PrimaryState.Demoted, "it did not give way");
        pair.Await(() => pair.PrimaryLog.IsPlannedEnd is not null, "nobody was told");

        Assert.Equal(before, pair.PrimaryConsole.Text);
        Assert.False(pair.PrimaryLog.IsPlannedEnd);
        long step = pair.StandbyMachine.Step;
        pair.Await(() => pair.StandbyMachine.Step > step + 20, "the guest does not get on after the takeover");
        _ = SessionPair.AssertContiguous(pair.CombinedOutput());
    }

    [Fact]
    public void Planned_end_ends_both_sides_with_the_same_disks()
    {
        using var pair = new SessionPair();
        pair.Protect();

        pair.Primary!.PlanEnd("guest shut down");
        pair.Await(() => pair.PrimaryLog.IsPlannedEnd is not null, "the primary did not end");
        pair.Await(() => pair.StandbyLog.IsPlannedEnd is not null, "the standby did not end");

        Assert.True(pair.PrimaryLog.IsPlannedEnd);
        Assert.True(pair.StandbyLog.IsPlannedEnd);
        Assert.Equal(0u, pair.StandbyLog.RunningGeneration);
        Assert.Equal(pair.PrimaryMachine.Step, SessionPair.AssertContiguous(pair.PrimaryConsole.Text));
        for (int i = 0; i < pair.PrimaryDisks.Count; i++)
        {
            Assert.True(pair.PrimaryDisks[i].Content.SequenceEqual(pair.StandbyDisks[i].Content), $"disk {i} differs");
        }

        Assert.True(pair.PrimaryMachine.Ram.ReadOnlyBytes(0, (int)SessionPair.RamBytes)
            .SequenceEqual(pair.StandbyMachine.Ram.ReadOnlyBytes(0, (int)SessionPair.RamBytes)));
    }

    [Fact]
    public void Full_disk_under_the_journal_ends_protection_and_the_guest_goes_on()
    {
        using var pair = new SessionPair(_ => new FullStore(64 << 10));
        pair.StartPrimary();

        pair.Await(() => pair.StandbyLog.IsPlannedEnd == false, "the standby did not fail");
        // The standby's last word can be lost with the link, when data is on its way to a socket that closes; then its
        // refusal to pair again says what became of it.
        pair.Await(
            () => pair.PrimaryLog.Says("No space left") || pair.PrimaryLog.Says("the standby has Failed"),
            "the primary does not say why");
        pair.Await(() => pair.PrimaryLog.Says("Alone: standby "), "the primary does not go on alone");

        Assert.Contains("No space left", pair.StandbyLog.ToString(), StringComparison.Ordinal);
        long step = pair.PrimaryMachine.Step;
        pair.Await(() => pair.PrimaryMachine.Step > step + 20, "the guest stands still");
        _ = SessionPair.AssertContiguous(pair.PrimaryConsole.Text);
    }

    [Fact]
    public void Guest_write_that_fails_locally_ends_protection()
    {
        using var pair = new SessionPair();
        pair.Protect();

        pair.PrimaryDisks[1].WriteStatus = BlockStatus.IoError;

        pair.Await(
            () => pair.PrimaryLog.Says("Alone: disk 1: a Write of the guest ended with IoError"), "protection goes on");
        Assert.Equal(0u, pair.StandbyLog.RunningGeneration);
    }

    [Fact]
    public void Standby_with_other_RAM_refuses_by_name_and_both_values()
    {
        using var pair = new SessionPair(standbyRamBytes: 2 << 20);
        pair.StartPrimary();

        pair.Await(
            () => pair.PrimaryLog.Says("RAM bytes: the primary has 4194304, the standby has 2097152"),
            "no refusal");
        Assert.Equal(1u, pair.PrimaryLog.RunningGeneration);
    }

    [Fact]
    public void Standby_that_lost_its_pairing_is_paired_again()
    {
        using var pair = new SessionPair();
        pair.Protect();
        pair.PrimaryDisks[0].WriteStatus = BlockStatus.IoError;
        pair.Await(() => pair.PrimaryLog.Says("ended with IoError"), "no failure");
        pair.PrimaryDisks[0].WriteStatus = BlockStatus.Ok;

        pair.Await(
            () => pair.Primary!.Statistics.Status is { State: PrimaryState.Protected, Incarnation: > 1001 },
            "the pair did not come together again");
        pair.Await(
            () => pair.Standby.Statistics.Status.State == StandbyState.Protecting, "the standby does not say so");
    }

    [Fact]
    public void Rule_35_only_what_differs_is_copied_to_a_disk_that_is_nearly_the_same()
    {
        const int DamagedAt = SessionNode.DiskBytes - ToyMachine.UntouchedBytes + 100; // not the guest's to mend
        using var pair = new SessionPair();
        byte[] content = new byte[SessionNode.DiskBytes];
        new Random(1).NextBytes(content);
        foreach (ToyDisk disk in (ToyDisk[])[.. pair.PrimaryDisks, .. pair.StandbyDisks])
        {
            disk.Fill(content);
        }

        content[DamagedAt] ^= 1;
        pair.StandbyDisks[1].Fill(content);
        content[DamagedAt] ^= 1;

        pair.Protect();

        const int Piece = CaptureRun.PieceBytes;
        long written = (pair.PrimaryMachine.Step * ToyMachine.RecordBytes / Piece) + 2; // pieces, by the guest so far
        Assert.InRange(pair.CopiedBytes(1), ToyMachine.UntouchedBytes, (written + 1) * Piece); // and the damage
        Assert.InRange(pair.CopiedBytes(0), 0, written * Piece);
        Assert.Equal(content[DamagedAt], pair.StandbyDisks[1].Content[DamagedAt]);
        pair.Primary!.Dispose();
        pair.Await(() => pair.StandbyLog.RunningGeneration != 0, "the standby did not take over");
        pair.StandbyMachine.Pause();
        AssertRecords(pair.StandbyDisks, SessionPair.AssertContiguous(pair.CombinedOutput()));
        pair.StandbyMachine.Resume();
    }

    [Fact]
    public void Rule_35_after_an_outage_only_what_changed_is_compared_and_sent()
    {
        using var pair = new SessionPair();
        pair.Protect();
        Assert.Contains("all of it was compared", $"{pair.PrimaryLog}", StringComparison.Ordinal);
        long before = pair.PrimaryMachine.Step; // and an epoch that was cut after it is with the standby
        ulong epoch = pair.Primary!.Statistics.Status.ReleasedEpoch;
        pair.Await(() => pair.Primary.Statistics.Status.ReleasedEpoch > epoch + 1, "there are no epochs");

        pair.Primary.BreakLink("drill");
        pair.Await(
            () => pair.PrimaryLog.Count("what had changed was compared") == pair.PrimaryDisks.Count,
            "the pair did not find together again");
        pair.Await(() => pair.Primary.Statistics.Status.State == PrimaryState.Protected, "no protection");

        // The guest writes a record a step to each disk.
        long written = (pair.PrimaryMachine.Step - before + 2) * ToyMachine.RecordBytes;
        long grain = new ChangeMap(SessionNode.DiskBytes).ChunkBytes;
        Assert.InRange(pair.CopiedBytes(0), 0, written + (2 * grain));
        pair.Primary.Dispose();
        pair.Await(() => pair.StandbyLog.RunningGeneration != 0, "the standby did not take over");
        pair.StandbyMachine.Pause();
        AssertRecords(pair.StandbyDisks, SessionPair.AssertContiguous(pair.CombinedOutput()));
        pair.StandbyMachine.Resume();
    }

    [Fact]
    public void Rule_37_former_primary_gets_what_changed_since_and_what_it_had_not_committed()
    {
        using var pair = new SessionPair();
        byte[] content = new byte[SessionNode.DiskBytes];
        new Random(1).NextBytes(content);
        foreach (ToyDisk disk in (ToyDisk[])[.. pair.PrimaryDisks, .. pair.StandbyDisks])
        {
            disk.Fill(content);
        }

        pair.Protect();
        pair.Await(() => pair.PrimaryMachine.Step > 60, "the guest does not get on");
        pair.Primary!.Dispose();
        pair.Await(() => pair.StandbyLog.RunningGeneration != 0, "the standby did not take over");
        const int LostAt = SessionNode.DiskBytes - ToyMachine.UntouchedBytes;
        pair.PrimaryMachine.Pause();
        long lastStep = pair.PrimaryMachine.Step; // a starved standby takes over late
        pair.WriteAtPrimary(disk: 1, LostAt, new byte[512]); // after the last epoch that the standby has

        (PrimarySession primary, SessionNode standby) = pair.ProtectAgain(isFormerPrimary: true);

        Assert.Equal(2, pair.StandbyLog.Count("what had changed was compared"));
        Assert.Equal(0, pair.StandbyLog.Count("all of it was compared"));
        // No more than the guest has written, here or there, with the rest of the chunks that its records lie in.
        long written = (Math.Max(lastStep, pair.StandbyMachine.Step) * ToyMachine.RecordBytes) + (1 << 16);
        Assert.InRange(SessionPair.CopiedBytes(pair.StandbyLog, 0), 0, written);
        Assert.Equal(content.AsSpan(LostAt, 512), standby.Disks[1].Content.Slice(LostAt, 512));
        primary.Dispose();
        pair.Await(() => standby.Log.RunningGeneration != 0, "nobody took over again");
        standby.Machine.Pause();
        AssertRecords(standby.Disks, SessionPair.AssertContiguous(pair.CombinedOutput(standby)));
        standby.Machine.Resume();
    }

    private static void AssertRecords(List<ToyDisk> disks, int steps)
    {
        foreach (ToyDisk disk in disks)
        {
            int slots = ToyMachine.SlotsOf(disk.LengthBytes);
            for (int step = Math.Max(1, steps - slots + 2); step <= steps; step++)
            {
                ReadOnlySpan<byte> record = disk.Content.Slice(
                    step % slots * ToyMachine.RecordBytes, ToyMachine.RecordBytes);
                Assert.Equal(step, BinaryPrimitives.ReadInt64LittleEndian(record));
                Assert.Equal(-1, record[8..].IndexOfAnyExcept((byte)step));
            }
        }
    }

    /// <summary>A journal segment on a disk that has only so much room.</summary>
    private sealed class FullStore(long roomBytes) : IJournalStore, IDisposable
    {
        private readonly MemoryStream _bytes = new();

        public long LengthBytes => _bytes.Length;

        public void Append(ReadOnlySpan<byte> bytes)
        {
            if (bytes.Length > roomBytes - _bytes.Length)
            {
                throw new IOException("No space left on device : 'journal'");
            }

            _bytes.Position = _bytes.Length;
            _bytes.Write(bytes);
        }

        public void Barrier()
        {
        }

        public void Read(long offsetBytes, Span<byte> target)
        {
            _bytes.Position = offsetBytes;
            _bytes.ReadExactly(target);
        }

        public void Truncate(long lengthBytes) => _bytes.SetLength(lengthBytes);

        public void Dispose() => _bytes.Dispose();
    }
}
