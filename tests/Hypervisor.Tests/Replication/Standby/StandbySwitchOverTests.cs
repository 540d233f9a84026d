using System.Linq;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;
using Xunit;

namespace Hypervisor.Tests.Replication.Standby;

/// <summary>The standby's side of a planned switch-over, and what any takeover waits for.</summary>
public sealed class StandbySwitchOverTests
{
    [Fact]
    public void Witness_is_read_before_anybody_stops_and_swapped_after_Go_and_the_flush()
    {
        var standby = new RecordedStandby();
        Assert.True(standby.Core.TakeOver(standby.Now));
        Assert.Equal(["read"], standby.Log);
        Assert.Empty(standby.Sent);
        standby.Answer(RecordedStandby.InSync);
        Assert.Equal([SwitchOverStep.Ready], Steps(standby));
        Assert.Equal(StandbyState.Protecting, standby.Core.State);
        standby.Commit(1);

        standby.Say(SwitchOverStep.Go, epoch: 1);
        standby.Core.OnEpochApplied(1, null, standby.Now);
        standby.Core.OnDisksFlushed(null, standby.Now);
        standby.Core.OnGenerationWritten(null, standby.Now);
        Assert.Equal([SwitchOverStep.Ready], Steps(standby));
        standby.Answer(standby.Asked.Desired);

        Assert.Equal(
            ["read", "commit 1", "apply 1", "flush", "generation 2", "swap to 2", "live 2", "close"], standby.Log);
        Assert.Equal([SwitchOverStep.Ready, SwitchOverStep.Done], Steps(standby));
    }

    [Fact]
    public void Rule_13_takeover_waits_for_the_apply()
    {
        var standby = new RecordedStandby();
        standby.Commit(1);

        standby.LoseLink();

        Assert.DoesNotContain("flush", standby.Log);
        standby.Core.OnEpochApplied(1, null, standby.Now);
        Assert.Contains("flush", standby.Log);
    }

    [Fact]
    public void Rule_13_switch_over_waits_for_the_apply()
    {
        var standby = new RecordedStandby();
        Prepare(standby);
        standby.Commit(1);

        standby.Say(SwitchOverStep.Go, epoch: 1);

        Assert.DoesNotContain("flush", standby.Log);
        standby.Core.OnEpochApplied(1, null, standby.Now);
        Assert.Contains("flush", standby.Log);
    }

    [Theory]
    [InlineData(WitnessOutcome.Unreachable, true)]
    [InlineData(WitnessOutcome.Done, false)]
    internal void One_that_would_not_win_refuses_and_protects_on(WitnessOutcome outcome, bool isInSync)
    {
        var standby = new RecordedStandby();
        standby.Say(SwitchOverStep.Offer);

        standby.Answer(RecordedStandby.InSync with { IsStandbyInSync = isInSync }, outcome);

        Assert.Equal([SwitchOverStep.Refused], Steps(standby));
        Assert.Equal(StandbyState.Protecting, standby.Core.State);
        standby.Commit(1);
        Assert.Contains(standby.Sent, message => message.Kind == MessageKind.EpochAck);
    }

    [Fact]
    public void Witness_that_is_silent_is_a_refusal()
    {
        var standby = new RecordedStandby();
        standby.Say(SwitchOverStep.Offer);

        for (int i = 0; i < 30; i++)
        {
            standby.Now += 100_000_000;
            standby.Say(new HeartbeatMessage { SentNanos = 1, ReleasedEpoch = 0 });
            standby.Core.OnTick(standby.Now);
        }

        Assert.Equal([SwitchOverStep.Refused], Steps(standby));
        Assert.Equal(StandbyState.Protecting, standby.Core.State);
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(2UL)]
    public void Go_after_another_epoch_than_the_committed_one_is_no_takeover(ulong epoch)
    {
        var standby = new RecordedStandby();
        Prepare(standby);
        standby.Commit(1);

        standby.Say(SwitchOverStep.Go, epoch);

        Assert.Equal(StandbyState.Failed, standby.Core.State);
    }

    [Fact]
    public void Go_before_the_epoch_is_committed_is_no_takeover()
    {
        var standby = new RecordedStandby();
        Prepare(standby);
        standby.Say(End(new EpochDigest().Totals(0)), epoch: 1); // the journal has it not

        standby.Say(SwitchOverStep.Go, epoch: 1);

        Assert.Equal(StandbyState.Failed, standby.Core.State);
    }

    [Fact]
    public void Output_that_the_primary_let_out_before_Go_is_not_repeated()
    {
        var standby = new RecordedStandby();
        Prepare(standby);
        var output = new OutputMessage { Stream = 0, OffsetBytes = 0 };
        output.Attach(new byte[] { 1 }, null);
        var digest = new EpochDigest();
        digest.Add(MessageKind.Output, output.ComputeChecksum());
        standby.Say(output, epoch: 1);
        standby.Say(End(digest.Totals(output.PayloadBytes)), epoch: 1);
        standby.Core.OnEpochCommitted(1, null, standby.Now);

        standby.Say(SwitchOverStep.Go, epoch: 1);
        standby.Core.OnEpochApplied(1, null, standby.Now);
        standby.Core.OnDisksFlushed(null, standby.Now);
        standby.Core.OnGenerationWritten(null, standby.Now);
        standby.Answer(standby.Asked.Desired);

        Assert.Equal(StandbyState.Live, standby.Core.State);
        Assert.DoesNotContain("emit 1", standby.Log);
    }

    [Fact]
    public void Go_that_was_not_prepared_is_no_takeover()
    {
        var standby = new RecordedStandby();

        standby.Say(SwitchOverStep.Go);

        Assert.Equal(StandbyState.Failed, standby.Core.State);
    }

    [Fact]
    public void After_Go_neither_words_nor_the_end_of_the_link_count()
    {
        var standby = new RecordedStandby(WitnessPolicy.Stop);
        Prepare(standby);
        standby.Say(SwitchOverStep.Go);
        standby.Say(new AbortMessage { Reason = "no more" });
        standby.LoseLink();
        standby.Core.OnDisksFlushed(null, standby.Now);
        standby.Core.OnGenerationWritten(null, standby.Now);
        standby.Answer(null, WitnessOutcome.Unreachable); // the swap may have come through: it asks on

        Assert.Equal(StandbyState.Deciding, standby.Core.State);
        standby.Now += 1_000_000_000;
        standby.Core.OnTick(standby.Now);
        standby.Answer(standby.Asked.Desired, WitnessOutcome.Conflict);
        Assert.Equal(StandbyState.Live, standby.Core.State);
    }

    [Fact]
    public void Primary_that_hangs_while_it_is_asked_is_taken_over_from_by_its_silence()
    {
        var standby = new RecordedStandby();
        Prepare(standby);

        standby.Now += 500_000_000;
        standby.Core.OnTick(standby.Now);
        standby.Now += 600_000_000;
        standby.Core.OnTick(standby.Now);

        Assert.Equal(StandbyState.TakingOver, standby.Core.State);
        standby.Core.OnDisksFlushed(null, standby.Now);
        Assert.Equal("read", standby.Log[^1]); // what was read for the switch-over may be old
    }

    [Fact]
    public void Rule_26_without_a_link_it_takes_over_by_itself_when_the_lease_is_over()
    {
        var standby = new RecordedStandby();
        standby.Core.OnLinkLost(1, LinkLoss.Broken, "reset", standby.Now);

        Assert.True(standby.Core.TakeOver(standby.Now));

        Assert.Equal(StandbyState.TakingOver, standby.Core.State);
        Assert.DoesNotContain("flush", standby.Log);
        standby.Now += 1_100_000_000;
        standby.Core.OnTick(standby.Now);
        Assert.Contains("flush", standby.Log);
    }

    [Fact]
    public void Refusal_of_the_primary_is_told()
    {
        var standby = new RecordedStandby();
        Prepare(standby);

        standby.Say(new SwitchOverMessage { Step = SwitchOverStep.Refused, Reason = "the primary is Ending" });

        Assert.Equal(
            new SwitchOverStatus(1, false, "the primary refused: the primary is Ending"),
            standby.Core.Status().SwitchOver);
    }

    private static EpochEndMessage End(EpochTotals totals)
        => new() { Totals = totals, SentNanos = 5, ReleasedEpoch = 0 };

    private static void Prepare(RecordedStandby standby)
    {
        _ = standby.Core.TakeOver(standby.Now);
        standby.Answer(RecordedStandby.InSync);
    }

    private static SwitchOverStep[] Steps(RecordedStandby standby)
        => [.. standby.Sent.OfType<SwitchOverMessage>().Select(message => message.Step)];
}
