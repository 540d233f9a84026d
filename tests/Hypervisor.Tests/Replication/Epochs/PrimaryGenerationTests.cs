using System.Linq;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Wire;
using Hypervisor.Tests.Replication.Standby;
using Xunit;

namespace Hypervisor.Tests.Replication.Epochs;

/// <summary>Where a new generation begins, on both sides.</summary>
public sealed class PrimaryGenerationTests
{
    [Fact]
    public void Rule_34_generation_begins_before_a_guest_that_lost_its_standby_is_let_go()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        ulong before = primary.Record!.Generation;

        primary.Core.OnLinkLost("cut", primary.Now);

        Assert.Equal(["hold", "ask"], primary.Log.TakeLast(2)); // so it writes nothing before
        primary.AnswerWitness();
        Assert.Equal("let go", primary.Log[^1]);
        Assert.Equal(before + 1, primary.Record.Generation);
        Assert.Equal(before + 1, primary.Core.Status(primary.Now).Generation);
    }

    [Fact]
    public void Rule_34_standby_that_comes_in_sync_or_goes_before_that_begins_none()
    {
        RecordedPrimary primary = new RecordedPrimary().Start();
        ulong before = primary.Record!.Generation;

        primary.Pair();
        primary.Core.OnLinkLost("cut", primary.Now);

        Assert.Equal((PrimaryState.Alone, before), (primary.Core.State, primary.Record.Generation));
        Assert.Equal(before, new RecordedPrimary().Protect().Record!.Generation);
    }

    [Fact]
    public void Rule_34_planned_end_begins_none()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        ulong before = primary.Record!.Generation;

        primary.Core.PlanEnd("off", primary.Now);
        primary.Core.OnCutTaken(1, primary.Now);
        primary.Core.OnCaptureDone(1, [], primary.Now);
        primary.Ack(1);
        primary.AnswerWitness();

        Assert.Equal(before, primary.Record.Generation);
    }

    [Fact]
    public void Rule_34_generation_begins_at_promotion_and_at_no_look_at_the_witness()
    {
        var standby = new RecordedStandby();
        standby.LoseLink();
        standby.Core.OnDisksFlushed(null, standby.Now);
        Assert.Equal(RecordedStandby.InSync.Generation, standby.Core.Status().Generation);
        Assert.Null(standby.Asked.Desired);

        standby.Answer(RecordedStandby.InSync);
        standby.Core.OnGenerationWritten(null, standby.Now);

        Assert.Equal(RecordedStandby.InSync.Generation + 1, standby.Asked.Desired!.Generation);
        Assert.Contains("generation 2", standby.Log);
        standby.Answer(standby.Asked.Desired);
        Assert.Equal(2ul, standby.Core.Status().Generation);
    }

    [Fact]
    public void Rule_43_second_protection_job_is_refused()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();

        primary.Core.OnConnected(RecordedPrimary.Incarnation + 1, primary.Now);

        Assert.Equal("close: no standby is looked for while Protected", primary.Log[^1]);
        Assert.Equal(PrimaryState.Protected, primary.Core.State);
        Assert.Equal(RecordedPrimary.Incarnation, primary.Core.Incarnation);
        Assert.Single(primary.Sent.OfType<HelloMessage>());
    }
}
