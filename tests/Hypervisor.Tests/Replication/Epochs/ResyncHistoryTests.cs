using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Wire;
using Xunit;

namespace Hypervisor.Tests.Replication.Epochs;

public sealed class ResyncHistoryTests
{
    private readonly ResyncHistory _history = new();

    [Fact]
    public void Standby_of_nothing_that_is_known_gets_everything()
    {
        Assert.Equal(new ResyncPlan(77, 2, null, null), _history.Open(77, default, hasRam: false, wasPrimary: false));
        _history.Close(3, 4);

        ResyncPlan plan = _history.Open(78, new ReplicaPoint(99, 1), hasRam: true, wasPrimary: false);

        Assert.Equal((null, null), (plan.DisksAfter, plan.RamAfter));
    }

    [Fact]
    public void Rule_35_standby_of_an_earlier_life_misses_what_has_a_higher_stamp_than_its_epoch()
    {
        ulong first = _history.Open(77, default, hasRam: false, wasPrimary: false).BaseStamp;
        _history.Close(endedEpoch: 3, openEpoch: 4);

        ResyncPlan plan = _history.Open(78, new ReplicaPoint(77, 2), hasRam: true, wasPrimary: false);

        Assert.Equal(first + 2, plan.DisksAfter);
        Assert.Equal(first + 2, plan.RamAfter);
        Assert.True(plan.BaseStamp > first + 5); // the rim may have opened epoch 5 already
    }

    [Fact]
    public void Rule_38_copy_that_was_cut_off_leaves_the_standby_where_it_was()
    {
        ulong first = _history.Open(77, default, hasRam: false, wasPrimary: false).BaseStamp;
        _history.Close(3, 4);
        _ = _history.Open(78, new ReplicaPoint(77, 3), hasRam: true, wasPrimary: false);
        _history.Close(0, 0);

        Assert.Equal(first + 3, _history.Open(79, new ReplicaPoint(77, 3), hasRam: true, wasPrimary: false).DisksAfter);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(ulong.MaxValue)]
    public void Epoch_that_was_never_ended_is_nothing_known(ulong epoch)
    {
        _ = _history.Open(77, default, hasRam: false, wasPrimary: false);
        _history.Close(3, 4);

        Assert.Null(_history.Open(78, new ReplicaPoint(77, epoch), hasRam: true, wasPrimary: false).DisksAfter);
    }

    [Fact]
    public void Standby_that_lost_its_RAM_gets_all_of_it_and_of_the_disks_what_changed()
    {
        _ = _history.Open(77, default, hasRam: false, wasPrimary: false);
        _history.Close(3, 4);

        ResyncPlan plan = _history.Open(78, new ReplicaPoint(77, 3), hasRam: false, wasPrimary: false);

        Assert.NotNull(plan.DisksAfter);
        Assert.Null(plan.RamAfter);
    }

    [Fact]
    public void Side_that_took_over_knows_what_changed_since()
    {
        _history.TookOver(new ReplicaPoint(66, 900));

        ResyncPlan plan = _history.Open(78, new ReplicaPoint(66, 900), hasRam: true, wasPrimary: false);

        Assert.Equal(ResyncHistory.FirstStamp - 1, plan.DisksAfter);
        Assert.Null(plan.RamAfter); // what was sent of it to whom is not known here
    }

    [Fact]
    public void Rule_37_former_primary_that_knows_what_it_changed_since_an_epoch_before_the_takeover_is_believed()
    {
        _history.TookOver(new ReplicaPoint(66, 900));

        Assert.Equal(
            ResyncHistory.FirstStamp - 1,
            _history.Open(78, new ReplicaPoint(66, 890), hasRam: false, wasPrimary: true).DisksAfter);
        _history.Close(0, 0);
        Assert.Null(_history.Open(79, new ReplicaPoint(66, 901), hasRam: false, wasPrimary: true).DisksAfter);
        _history.Close(0, 0);
        Assert.Null(_history.Open(80, new ReplicaPoint(66, 890), hasRam: false, wasPrimary: false).DisksAfter);
    }

    [Fact]
    public void Primary_that_starts_again_knows_what_changed_since_its_last_acknowledged_epoch()
    {
        _history.Restore(new ReplicaPoint(66, 900));

        Assert.Equal(
            ResyncHistory.FirstStamp - 1,
            _history.Open(78, new ReplicaPoint(66, 950), hasRam: true, wasPrimary: false).DisksAfter);
        _history.Close(0, 0);
        Assert.Null(_history.Open(79, new ReplicaPoint(66, 899), hasRam: true, wasPrimary: false).DisksAfter);
        _history.Close(0, 0);
        Assert.Null(_history.Open(80, new ReplicaPoint(66, 950), hasRam: true, wasPrimary: true).DisksAfter);
    }

    [Fact]
    public void Lives_are_forgotten_in_their_order()
    {
        for (ulong life = 1; life <= ResyncHistory.LivesMax + 1; life++)
        {
            _ = _history.Open(life, default, hasRam: false, wasPrimary: false);
            _history.Close(1, 1);
        }

        Assert.Null(_history.Open(100, new ReplicaPoint(1, 1), hasRam: true, wasPrimary: false).DisksAfter);
        _history.Close(0, 0);
        Assert.NotNull(_history.Open(101, new ReplicaPoint(3, 1), hasRam: true, wasPrimary: false).DisksAfter);
    }
}
