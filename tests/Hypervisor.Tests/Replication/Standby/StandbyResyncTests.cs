using System.Linq;
using Hypervisor.Replication.Wire;
using Xunit;

namespace Hypervisor.Tests.Replication.Standby;

/// <summary>Where a standby says that its copy stands, for the next copy to go on from there.</summary>
public sealed class StandbyResyncTests
{
    [Fact]
    public void Rule_38_epoch_that_is_in_the_journal_and_not_applied_is_not_what_the_copy_has()
    {
        var standby = new RecordedStandby();
        standby.Commit(1);
        standby.Core.OnEpochApplied(1, null, standby.Now);
        standby.Commit(2); // its apply is on its way

        standby.Say(new AbortMessage { Reason = "the primary goes on alone" });

        Assert.Equal(new ReplicaPoint(RecordedStandby.Incarnation, 1), standby.Discarded);
        standby.Core.OnEpochApplied(2, null, standby.Now); // the rim was at it
        standby.Pair(incarnation: 78);
        Assert.Equal(new ReplicaPoint(RecordedStandby.Incarnation, 1), standby.Begun);
        Assert.Equal(standby.Begun, standby.Sent.OfType<WelcomeMessage>().Single().Point);
    }
}
