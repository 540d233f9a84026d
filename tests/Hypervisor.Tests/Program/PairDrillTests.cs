using System;
using Hypervisor.Sessions;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class PairDrillTests
{
    private const long Second = 1_000_000_000;

    private readonly PairDrill _drill = new(TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(3));

    [Fact]
    public void Kill_waits_for_protection_and_then_for_its_time()
    {
        Assert.Equal(PairAction.Wait, Next(100));

        Primary(StatusKind.Epoch, 101, epoch: 1);

        Assert.Equal(PairAction.Wait, Next(105));
        Assert.Equal(PairAction.KillPrimary, Next(106));
    }

    [Fact]
    public void Guest_that_carried_on_is_ended_after_its_time_and_only_once()
    {
        KillAt(10);
        Standby(StatusKind.Takeover, 11, epoch: 7);
        Standby(StatusKind.Running, 12, epoch: 7);

        Assert.Equal(PairAction.Wait, Next(14, hasPrimaryEnded: true));
        Assert.Equal(PairAction.EndStandby, Next(15, hasPrimaryEnded: true));
        Assert.Equal(PairAction.Wait, Next(16, hasPrimaryEnded: true));
        Assert.Equal(PairAction.Finish, Next(17, hasPrimaryEnded: true, hasStandbyEnded: true));
        Assert.Equal(7, _drill.TakeoverEpoch);
        Assert.Equal(2 * Second, _drill.FirstInstructionNanos - _drill.KilledNanos);
    }

    [Fact]
    public void Standby_that_does_not_take_over_is_given_up()
    {
        KillAt(10);

        Assert.Equal(PairAction.Wait, Next(39, hasPrimaryEnded: true));
        Assert.Equal(PairAction.GiveUp, Next(40, hasPrimaryEnded: true));
    }

    [Fact]
    public void Primary_that_never_became_one_ends_the_pair()
    {
        Assert.Equal(PairAction.EndStandby, Next(1, hasPrimaryEnded: true));
        Assert.Equal(PairAction.Finish, Next(2, hasPrimaryEnded: true, hasStandbyEnded: true));
    }

    [Fact]
    public void Guest_that_ends_itself_ends_the_pair_without_a_kill()
    {
        Primary(StatusKind.Epoch, 1, epoch: 1);

        Assert.Equal(PairAction.Wait, Next(2, hasPrimaryEnded: true));
        Assert.Equal(PairAction.Finish, Next(3, hasPrimaryEnded: true, hasStandbyEnded: true));
        Assert.Equal(-1, _drill.KilledNanos);
    }

    private void KillAt(long seconds)
    {
        Primary(StatusKind.Epoch, seconds - 5, epoch: 6);
        Assert.Equal(PairAction.KillPrimary, Next(seconds));
        _drill.OnKilled(seconds * Second);
    }

    private PairAction Next(long seconds, bool hasPrimaryEnded = false, bool hasStandbyEnded = false)
        => _drill.Next(seconds * Second, hasPrimaryEnded, hasStandbyEnded);

    private void Primary(StatusKind kind, long seconds, long epoch)
        => _drill.OnStatus(false, new StatusEvent(kind, seconds * Second) { Epoch = epoch });

    private void Standby(StatusKind kind, long seconds, long epoch)
        => _drill.OnStatus(true, new StatusEvent(kind, seconds * Second) { Epoch = epoch });
}
