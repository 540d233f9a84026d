using System.Linq;
using Hypervisor.Replication.Wire;
using Xunit;

namespace Hypervisor.Tests.Replication.Epochs;

/// <summary>What the primary's core says of disks that both halves share.</summary>
public sealed class SharedDiskPrimaryTests
{
    [Fact]
    public void Standby_hears_what_is_released_and_what_is_durable_apart()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        primary.EndEpoch(1);
        primary.Ack(1);
        primary.EndEpoch(2);
        primary.Ack(2);
        primary.Core.OnSettled(1);

        primary.EndEpoch(3);

        EpochEndMessage end = primary.Sent.OfType<EpochEndMessage>().Last();
        Assert.Equal((2ul, 1ul), (end.ReleasedEpoch, end.SettledEpoch));
    }

    [Fact]
    public void Word_of_an_earlier_life_settles_nothing()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        primary.EndEpoch(1);
        primary.Ack(1);
        primary.Core.OnSettled(99);

        primary.EndEpoch(2);

        Assert.Equal(0ul, primary.Sent.OfType<EpochEndMessage>().Last().SettledEpoch);
    }

    [Fact]
    public void Rule_26_changes_may_reach_the_disk_as_long_as_the_lease_and_not_after_Go()
    {
        RecordedPrimary primary = new RecordedPrimary().Protect();
        primary.EndEpoch(1);
        primary.Ack(1);
        long granted = primary.Core.LeaseEndNanos;

        primary.Core.OnMessage(
            new SwitchOverMessage { Incarnation = RecordedPrimary.Incarnation, Step = SwitchOverStep.Ready },
            primary.Now);
        primary.EndEpoch(2);
        primary.Ack(2);

        Assert.True(granted > primary.Now - 60_000_000);
        Assert.Contains(primary.Sent.OfType<SwitchOverMessage>(), message => message.Step == SwitchOverStep.Go);
        Assert.Equal(0, primary.Core.LeaseEndNanos);
    }
}
