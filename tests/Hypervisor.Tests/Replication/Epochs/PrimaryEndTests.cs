using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;
using Xunit;

namespace Hypervisor.Tests.Replication.Epochs;

/// <summary>A planned end: what the witness hears of it, and what happens while it does not answer.</summary>
public sealed class PrimaryEndTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Rule_29_end_tells_the_witness_whether_the_standby_has_the_last_epoch(bool isLost)
    {
        RecordedPrimary primary = new RecordedPrimary(StandbyLossPolicy.Wait).Protect();
        if (isLost)
        {
            primary.Core.OnLinkLost("cut", primary.Now);
            primary.AnswerWitness();
            Assert.Equal(PrimaryState.Waiting, primary.Core.State);
        }

        primary.Core.PlanEnd("off", primary.Now);
        if (!isLost)
        {
            primary.EndEpoch(1);
            primary.Ack(1);
        }

        primary.AnswerWitness();

        Assert.Equal(WitnessPhase.Ended, primary.Record!.Phase);
        Assert.Equal(!isLost, primary.Record.IsStandbyInSync);
    }

    [Fact]
    public void Rule_30_end_waits_for_the_witness_while_a_word_of_a_standby_in_sync_may_be_on_its_way()
    {
        RecordedPrimary primary = new RecordedPrimary(StandbyLossPolicy.Wait).Start();
        primary.Pair();
        primary.Core.OnMessage(new FullCopyAckMessage { Incarnation = RecordedPrimary.Incarnation }, primary.Now);
        Unreachable(primary); // "in sync" was asked for, and may still come through
        Assert.Equal(PrimaryState.Waiting, primary.Core.State);

        primary.Core.PlanEnd("off", primary.Now);
        Unreachable(primary);

        Assert.Equal(PrimaryState.Ending, primary.Core.State);
        primary.Core.OnTick(primary.Now += 10_000_000_000);
        primary.AnswerWitness();
        Assert.Equal(WitnessPhase.Ended, primary.Record!.Phase);
        Assert.Equal(PrimaryState.Ended, primary.Core.State);
    }

    [Fact]
    public void End_waits_for_nobody_when_there_never_was_a_standby()
    {
        RecordedPrimary primary = new RecordedPrimary(StandbyLossPolicy.Wait).Start();

        primary.Core.PlanEnd("off", primary.Now);
        Unreachable(primary);

        Assert.Equal(PrimaryState.Ended, primary.Core.State);
    }

    private static void Unreachable(RecordedPrimary primary) => primary.Core.OnWitnessAnswer(
        new WitnessAnswer(primary.Asked.Id, WitnessOutcome.Unreachable, null), primary.Now);
}
