using System;
using Hypervisor.Backends.Block;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;
using Xunit;

namespace Hypervisor.Tests.Replication.Epochs;

/// <summary>The primary's rules, each by a script.</summary>
public sealed class PrimaryCoreTests
{
    [Fact]
    public void Rule_01_output_leaves_only_after_the_acknowledgement()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();

        primary.EndEpoch(1);
        primary.EndEpoch(2);
        Assert.DoesNotContain("release 1", primary.Log);

        primary.Ack(1);
        Assert.Contains("release 1", primary.Log);
        Assert.DoesNotContain("release 2", primary.Log);

        primary.Ack(2);
        Assert.Contains("release 2", primary.Log);
    }

    [Fact]
    public void Rule_03_output_of_a_lost_primary_is_dropped()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        primary.EndEpoch(1);
        primary.LoseWitness();

        primary.Core.OnLinkLost("cut", primary.Now);
        primary.AnswerWitness();

        Assert.Equal(PrimaryState.Demoted, primary.Core.State);
        Assert.Contains("drop", primary.Log);
        Assert.Contains("stop guest", primary.Log);
        Assert.DoesNotContain("pass", primary.Log);
    }

    [Fact]
    public void Rule_09_acknowledgement_out_of_order_ends_protection_and_names_both_numbers()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        primary.EndEpoch(1);

        primary.Ack(2);

        Assert.Equal(PrimaryState.Deciding, primary.Core.State);
        Assert.Contains("is 2, must be 1", primary.Core.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Rule_09_acknowledgement_that_leaves_an_epoch_out_ends_protection()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        primary.EndEpoch(1);
        primary.EndEpoch(2);

        primary.Ack(2);

        Assert.Equal(PrimaryState.Deciding, primary.Core.State);
        Assert.DoesNotContain("release 2", primary.Log);
    }

    [Fact]
    public void Rule_13_planned_end_in_the_middle_of_a_checkpoint_waits_for_it()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        primary.Now += 60_000_000;
        primary.Core.OnTick(primary.Now);

        primary.Core.PlanEnd("off", primary.Now);
        Assert.DoesNotContain("cut 2", primary.Log);
        primary.Core.OnCutTaken(1, primary.Now);
        primary.Core.OnCaptureDone(1, [], primary.Now);

        Assert.Contains("cut 2", primary.Log);
    }

    [Fact]
    public void Cut_that_came_late_does_not_delay_the_next_one()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        long due = primary.Now + 50_000_000;
        primary.Now = due;
        primary.Core.OnTick(primary.Now);
        Assert.Contains("cut 1", primary.Log);

        primary.Now = due + 20_000_000;
        primary.Core.OnCutTaken(1, primary.Now);
        primary.Core.OnCaptureDone(1, [], primary.Now);
        primary.Ack(1);
        primary.Now = due + 50_000_000;
        primary.Core.OnTick(primary.Now);

        Assert.Contains("cut 2", primary.Log);
    }

    [Theory]
    [InlineData(0, false)] // of an epoch that is over
    [InlineData(1, true)]
    [InlineData(2, true)] // of the next: the word of the cut between them is still on its way
    public void Cut_comes_sooner_when_output_waits_for_it(ulong epoch, bool isCut)
    {
        RecordedPrimary primary = new RecordedPrimary(outputEpochNanos: 5_000_000).Protect();
        primary.Core.OnOutputWaiting(epoch, primary.Now);
        Assert.DoesNotContain("cut 1", primary.Log);

        primary.Now += 5_000_000;
        primary.Core.OnTick(primary.Now);

        Assert.Equal(isCut, primary.Log.Contains("cut 1"));
    }

    [Fact]
    public void Output_that_left_brings_no_other_cut_forward()
    {
        RecordedPrimary primary = new RecordedPrimary(outputEpochNanos: 5_000_000).Protect();
        primary.Core.OnOutputWaiting(1, primary.Now);
        primary.EndEpoch(1);
        primary.Ack(1);

        primary.Now += 20_000_000;
        primary.Core.OnTick(primary.Now);
        Assert.DoesNotContain("cut 2", primary.Log);
        primary.Core.OnOutputWaiting(2, primary.Now);

        Assert.Contains("cut 2", primary.Log);
    }

    [Fact]
    public void Rule_16_disk_writes_carry_their_place_in_the_open_epoch()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        DiskWriteMessage first = Flush(epoch: 1);
        DiskWriteMessage second = Flush(epoch: 1);

        primary.Core.OnDiskWrite(first, primary.Now);
        primary.Core.OnDiskWrite(second, primary.Now);

        Assert.Equal((0u, 1u), (first.Order, second.Order));
        primary.EndEpoch(1);
        DiskWriteMessage next = Flush(epoch: 2);
        primary.Core.OnDiskWrite(next, primary.Now);
        Assert.Equal(0u, next.Order);
    }

    [Fact]
    public void Rule_23_full_standby_slows_the_guest_until_it_has_room()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        var write = new DiskWriteMessage
        {
            Disk = 0,
            Operation = BlockOperation.Write,
            OffsetBytes = 0,
            LengthBytes = 2 << 20,
            Epoch = 1,
        };
        write.Attach(new byte[2 << 20], null);

        primary.Core.OnDiskWrite(write, primary.Now);
        Assert.Contains("hold", primary.Log);
        Assert.Contains("cut 1", primary.Log);
        primary.Core.OnCutTaken(1, primary.Now);
        primary.Core.OnCaptureDone(1, [], primary.Now);
        primary.Ack(1);

        Assert.Equal("let go", primary.Log.FindLast(entry => entry is "hold" or "let go"));
    }

    [Fact]
    public void Rule_23_full_standby_does_not_make_the_clock_run_in_circles()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        primary.EndEpoch(1);
        var write = new DiskWriteMessage
        {
            Disk = 0,
            Operation = BlockOperation.Write,
            OffsetBytes = 0,
            LengthBytes = 2 << 20,
            Epoch = 2,
        };
        write.Attach(new byte[2 << 20], null);
        primary.Core.OnDiskWrite(write, primary.Now);

        primary.Now += 70_000_000;
        primary.Core.OnTick(primary.Now);

        Assert.True(primary.Core.NextDeadlineNanos > primary.Now);
    }

    [Fact]
    public void Rule_26_nothing_leaves_after_the_lease()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        primary.EndEpoch(1);
        long sent = primary.Now;
        primary.Now += 700_000_000;

        primary.Ack(1, sent);

        Assert.DoesNotContain("release 1", primary.Log);
    }

    [Fact]
    public void Rule_26_lease_that_does_not_fit_the_takeover_timeout_ends_pairing()
    {
        RecordedPrimary primary = new RecordedPrimary().Start();
        primary.Core.OnConnected(RecordedPrimary.Incarnation, primary.Now);

        primary.Core.OnMessage(RecordedPrimary.Welcome(takeoverNanos: 600_000_000), primary.Now);

        Assert.Equal(PrimaryState.Alone, primary.Core.State);
        Assert.Contains("600000000 ns", primary.Core.Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(WitnessPolicy.Wait, PrimaryState.Deciding)]
    [InlineData(WitnessPolicy.Stop, PrimaryState.Stopped)]
    public void Rule_27_without_a_witness_it_waits_or_stops(WitnessPolicy policy, PrimaryState expected)
    {
        RecordedPrimary primary = new RecordedPrimary(onWitnessLost: policy).Protect();
        primary.Core.OnLinkLost("cut", primary.Now);

        primary.Core.OnWitnessAnswer(new(primary.Asked.Id, WitnessOutcome.Unreachable, null), primary.Now);

        Assert.Equal(expected, primary.Core.State);
        Assert.DoesNotContain("pass", primary.Log);
    }

    [Fact]
    public void Rule_28_frame_of_another_incarnation_ends_protection()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();

        primary.Core.OnMessage(new HeartbeatReplyMessage
        {
            Incarnation = 78,
            EchoNanos = 0,
            CommittedEpoch = 0,
            AppliedEpoch = 0,
        }, primary.Now);

        Assert.Equal("HeartbeatReply of incarnation 4E, must be 4D", primary.Core.Reason);
    }

    [Fact]
    public void Rule_28_returning_primary_stays_demoted()
    {
        RecordedPrimary primary = new RecordedPrimary().Start();
        primary.LoseWitness();

        primary.Core.Start(primary.Now);
        primary.AnswerWitness();

        Assert.Equal(PrimaryState.Demoted, primary.Core.State);
    }

    [Fact]
    public void Rule_29_primary_goes_on_only_after_the_witness_holds_outdated()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        primary.EndEpoch(1);

        primary.Core.OnLinkLost("cut", primary.Now);
        Assert.DoesNotContain("pass", primary.Log);
        primary.AnswerWitness();

        Assert.Equal(PrimaryState.Alone, primary.Core.State);
        Assert.Contains("pass", primary.Log);
        WitnessRecord record = primary.Record!;
        Assert.Equal((false, 1ul, 2ul), (record.IsStandbyInSync, record.OutdatedSince, record.Generation));
    }

    [Fact]
    public void Rule_29_swap_whose_answer_was_lost_counts()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        primary.Core.OnLinkLost("cut", primary.Now);

        WitnessRequest asked = primary.Asked;
        primary.Core.OnWitnessAnswer(new(asked.Id, WitnessOutcome.Conflict, asked.Desired), primary.Now);

        Assert.Equal(PrimaryState.Alone, primary.Core.State);
    }

    [Fact]
    public void Rule_30_planned_end_commits_the_last_epoch_tells_the_witness_and_then_the_standby()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();

        primary.Core.PlanEnd("off", primary.Now);
        primary.Core.OnCutTaken(1, primary.Now);
        primary.Core.OnCaptureDone(1, [], primary.Now);
        primary.Ack(1);
        Assert.False(primary.HasSent(MessageKind.PlannedEnd));
        primary.AnswerWitness();
        Assert.Equal(WitnessPhase.Ended, primary.Record!.Phase);
        Assert.True(primary.HasSent(MessageKind.PlannedEnd));
        primary.Core.OnMessage(new PlannedEndAckMessage { Incarnation = RecordedPrimary.Incarnation }, primary.Now);

        Assert.Equal(PrimaryState.Ended, primary.Core.State);
        Assert.Contains("release 1", primary.Log);
    }

    [Fact]
    public void Rule_31_silent_standby_is_lost()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();

        primary.Now += 2_100_000_000;
        primary.Core.OnTick(primary.Now);

        Assert.Equal(PrimaryState.Deciding, primary.Core.State);
    }

    [Fact]
    public void Rule_31_standby_that_writes_the_copy_is_not_silent()
    {
        RecordedPrimary primary = Copying();

        for (int i = 0; i < 5; i++)
        {
            primary.Now += 1_500_000_000;
            primary.Core.OnCopied(new RamBlockMessage { PageCount = 0 }, primary.Now);
            primary.Core.OnTick(primary.Now);
        }

        Assert.Equal(PrimaryState.Copying, primary.Core.State);
    }

    [Fact]
    public void Rule_31_standby_that_is_silent_while_nothing_is_taken_is_lost()
    {
        RecordedPrimary primary = Copying();

        primary.Now += 2_100_000_000;
        primary.Core.OnTick(primary.Now);

        Assert.Equal(PrimaryState.Alone, primary.Core.State);
        Assert.Equal("no progress for 2100000000 ns while Copying", primary.Core.Reason);
    }

    [Fact]
    public void Rule_31_standby_that_answers_but_takes_nothing_of_the_copy_for_two_minutes_is_lost()
    {
        RecordedPrimary primary = Copying();
        for (int second = 1; second <= 119; second++)
        {
            AnswerHeartbeat(primary);
        }

        Assert.Equal(PrimaryState.Copying, primary.Core.State);
        AnswerHeartbeat(primary);

        Assert.Equal(PrimaryState.Alone, primary.Core.State);
        Assert.Equal("no progress for 120000000000 ns while Copying", primary.Core.Reason);
    }

    // A second later a heartbeat is due, and the standby answers it at once.
    private static void AnswerHeartbeat(RecordedPrimary primary)
    {
        primary.Now += 1_000_000_000;
        primary.Core.OnTick(primary.Now);
        primary.Core.OnMessage(new HeartbeatReplyMessage
        {
            Incarnation = RecordedPrimary.Incarnation,
            EchoNanos = primary.Now,
            CommittedEpoch = 0,
            AppliedEpoch = 0,
        }, primary.Now);
    }

    private static RecordedPrimary Copying()
    {
        var primary = new RecordedPrimary();
        primary.Start();
        primary.Core.OnConnected(RecordedPrimary.Incarnation, primary.Now);
        primary.Core.OnMessage(RecordedPrimary.Welcome(), primary.Now);
        Assert.Equal(PrimaryState.Copying, primary.Core.State);
        return primary;
    }

    private static DiskWriteMessage Flush(ulong epoch)
        => new() { Disk = 0, Operation = BlockOperation.Flush, OffsetBytes = 0, LengthBytes = 0, Epoch = epoch };
}
