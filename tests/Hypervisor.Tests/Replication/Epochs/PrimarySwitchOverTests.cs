using System;
using System.Linq;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;
using Xunit;

namespace Hypervisor.Tests.Replication.Epochs;

/// <summary>The primary's side of a planned switch-over; the test plays standby, rim and witness.</summary>
public sealed class PrimarySwitchOverTests
{
    private static readonly Guid s_standby = RecordedPrimary.Welcome().Node;

    [Fact]
    public void Rule_13_guest_stops_before_the_last_epoch_and_is_given_away_after_its_output_is_out()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        primary.EndEpoch(1);
        primary.Log.Clear();

        Say(primary, SwitchOverStep.Ready);

        Assert.Equal(["hold", "cut 2"], primary.Log);
        primary.Core.OnCutTaken(2, primary.Now);
        primary.Core.OnCaptureDone(2, [], primary.Now);
        primary.Ack(1);
        Assert.Equal("release 1", primary.Log[^1]);
        Assert.False(HasSaid(primary, SwitchOverStep.Go));
        primary.Ack(2);
        Assert.Equal("release 2", primary.Log[^1]);
        SwitchOverMessage go = primary.Sent.OfType<SwitchOverMessage>().Single();
        Assert.Equal((SwitchOverStep.Go, 2UL), (go.Step, go.Epoch));
        Assert.Equal(PrimaryState.SwitchingOver, primary.Core.State);
    }

    [Fact]
    public void Rule_30_one_that_handed_over_drops_what_it_holds_and_ends_on_purpose()
    {
        RecordedPrimary primary = Gone();

        Say(primary, SwitchOverStep.Done);

        Assert.Equal(PrimaryState.HandedOver, primary.Core.State);
        Assert.Equal($"handed over to {s_standby} in generation 2", primary.Core.Reason);
        Assert.Equal(["drop", "stop guest"], primary.Log.SkipLast(1));
        Assert.DoesNotContain("let go", primary.Log);
    }

    [Fact]
    public void Asked_here_it_offers_and_keeps_the_guest_until_the_standby_is_ready()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();

        primary.Core.SwitchOver();

        Assert.True(HasSaid(primary, SwitchOverStep.Offer));
        Assert.Equal(PrimaryState.Protected, primary.Core.State);
        Assert.Equal(new SwitchOverStatus(1, true, ""), primary.Core.Status(primary.Now).SwitchOver);
        Say(primary, SwitchOverStep.Refused, "no witness");
        Assert.Equal(
            new SwitchOverStatus(1, false, "the standby refused: no witness"),
            primary.Core.Status(primary.Now).SwitchOver);
        Assert.DoesNotContain("hold", primary.Log);
        primary.EndEpoch(1); // protection goes on
        Assert.True(primary.HasSent(MessageKind.EpochEnd));
    }

    [Fact]
    public void One_that_is_not_protected_refuses_and_says_where_it_stands()
    {
        RecordedPrimary primary = new RecordedPrimary().Start();
        primary.Pair();

        primary.Core.SwitchOver();
        Say(primary, SwitchOverStep.Ready);

        Assert.Equal("the primary is Syncing", primary.Core.Status(primary.Now).SwitchOver.Error);
        Assert.Equal(
            "the primary is Syncing",
            primary.Sent.OfType<SwitchOverMessage>().Single(message => message.Step == SwitchOverStep.Refused).Reason);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Rule_40_guest_goes_on_here_when_the_standby_is_lost_before_it_has_won(bool isGoSent)
    {
        RecordedPrimary primary = isGoSent ? Gone() : new RecordedPrimary().Protect();
        if (!isGoSent)
        {
            Say(primary, SwitchOverStep.Ready);
        }

        primary.Core.OnLinkLost("cut", primary.Now);

        Assert.Equal(PrimaryState.Deciding, primary.Core.State);
        Assert.DoesNotContain("let go", primary.Log); // not before the witness agrees
        primary.AnswerWitness();
        Assert.Equal(PrimaryState.Alone, primary.Core.State);
        Assert.Equal("let go", primary.Log[^1]);
        Assert.Equal(new SwitchOverStatus(0, false, "cut"), primary.Core.Status(primary.Now).SwitchOver);
    }

    [Fact]
    public void Rule_27_standby_that_won_in_silence_has_the_guest()
    {
        RecordedPrimary primary = Gone();
        primary.Now += 3_000_000_000;
        primary.Core.OnTick(primary.Now); // no Done in time
        Assert.Equal(PrimaryState.Deciding, primary.Core.State);

        primary.LoseWitness(s_standby);
        primary.AnswerWitness();

        Assert.Equal(PrimaryState.HandedOver, primary.Core.State);
        Assert.DoesNotContain("let go", primary.Log);
        Assert.DoesNotContain("pass", primary.Log);
    }

    [Fact]
    public void One_that_waits_without_a_standby_hands_over_to_the_one_that_won()
    {
        RecordedPrimary primary = Gone(StandbyLossPolicy.Wait);
        primary.Core.OnLinkLost("cut", primary.Now);
        Assert.Equal(PrimaryState.Waiting, primary.Core.State);
        primary.LoseWitness(s_standby);

        primary.AnswerWitness();

        Assert.Equal(PrimaryState.HandedOver, primary.Core.State);
    }

    [Fact]
    public void End_of_the_guest_before_Go_is_an_end()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        Say(primary, SwitchOverStep.Ready);
        primary.Core.OnCutTaken(1, primary.Now);
        primary.Core.PlanEnd("off", primary.Now);
        primary.Core.OnCaptureDone(1, [], primary.Now);
        primary.Core.OnCutTaken(2, primary.Now);
        primary.Core.OnCaptureDone(2, [], primary.Now);
        primary.Ack(1);
        primary.Ack(2);
        primary.AnswerWitness();

        Assert.False(HasSaid(primary, SwitchOverStep.Go));
        Assert.True(primary.HasSent(MessageKind.PlannedEnd));
    }

    [Fact]
    public void End_of_the_guest_after_Go_is_the_other_sides_unless_it_comes_back()
    {
        RecordedPrimary primary = Gone();
        primary.Core.PlanEnd("off", primary.Now);
        Assert.Equal(PrimaryState.SwitchingOver, primary.Core.State);

        primary.Core.OnLinkLost("cut", primary.Now);
        primary.AnswerWitness(); // this side has it again
        primary.AnswerWitness(); // and ends it

        Assert.Equal(PrimaryState.Ended, primary.Core.State);
    }

    /// <summary>One that said Go after epoch 1, with an empty log.</summary>
    private static RecordedPrimary Gone(StandbyLossPolicy onStandbyLost = StandbyLossPolicy.Alone)
    {
        RecordedPrimary primary = new RecordedPrimary(onStandbyLost).Protect();
        Say(primary, SwitchOverStep.Ready);
        primary.Core.OnCutTaken(1, primary.Now);
        primary.Core.OnCaptureDone(1, [], primary.Now);
        primary.Ack(1);
        Assert.True(HasSaid(primary, SwitchOverStep.Go));
        primary.Log.Clear();
        return primary;
    }

    private static bool HasSaid(RecordedPrimary primary, SwitchOverStep step)
        => primary.Sent.OfType<SwitchOverMessage>().Any(message => message.Step == step);

    private static void Say(RecordedPrimary primary, SwitchOverStep step, string reason = "") => primary.Core.OnMessage(
        new SwitchOverMessage { Step = step, Reason = reason, Incarnation = RecordedPrimary.Incarnation }, primary.Now);
}
