using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;
using Xunit;

namespace Hypervisor.Tests.Replication.Epochs;

/// <summary>A planned end while the witness does not answer.</summary>
public sealed class PrimaryEndTests
{
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
