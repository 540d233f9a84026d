using System;
using System.Linq;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Standby;

namespace Hypervisor.Simulation;

/// <summary>What a planned switch-over must keep (rules 13, 27, 30, 40).</summary>
internal static class SwitchOverCheck
{
    private const string Planned = "planned switch-over"; // the standby's reason from Go on

    /// <summary>
    /// The standby goes live. If the primary said Go, its guest stands still where the standby's begins: nothing is
    /// lost, not even what nobody has seen.
    /// </summary>
    public static void AtGoLive(Universe universe, ReadOnlySpan<byte> state)
    {
        PrimaryNode primary = universe.Primary;
        // A process that started after that has another machine, where no guest ran yet.
        if (universe.Standby.Core.Reason != Planned || !primary.IsUp || !primary.Guest.HasRun)
        {
            return;
        }

        if (primary.Guest.IsRunning && !primary.Guest.IsHeld)
        {
            throw new RuleViolationException(27, $"the guest runs on at a primary that is {primary.Core.State}");
        }

        if (!primary.Guest.Machine.Save().AsSpan().SequenceEqual(state))
        {
            throw new RuleViolationException(30, "the guest was handed over in another state than it stopped in");
        }
    }

    /// <summary>Both sides are up, the witness and the network are there: somebody runs the guest.</summary>
    public static void AtEnd(Universe universe, Faults faults)
    {
        PrimaryNode primary = universe.Primary;
        StandbyNode standby = universe.Standby;
        PrimaryState state = primary.Core.State;
        if (state == PrimaryState.HandedOver && !standby.IsLive && !faults.HasCrash)
        {
            throw new RuleViolationException(30, $"handed over to a standby that is {standby.Core.Status()}");
        }

        // By policy it may stand still without a standby or a witness; and it may have ended.
        bool isHeldByPolicy = universe.Settings.Primary.OnStandbyLost != StandbyLossPolicy.Alone
            && state is PrimaryState.Waiting or PrimaryState.Pairing;
        bool isBySomething = faults.HasCrash || isHeldByPolicy || state == PrimaryState.Stopped
            || faults.Happened.Contains(Fault.PlannedEnd);
        bool isSlowed = state is PrimaryState.Protected or PrimaryState.Syncing; // a full standby holds it now and then
        bool runs = primary.Guest.IsRunning && (isSlowed || !primary.Guest.IsHeld);
        if (!isBySomething && !runs && !standby.IsLive)
        {
            throw new RuleViolationException(
                30, $"nobody runs the guest: {primary.Core.Status(0)}; {standby.Core.Status()}");
        }

        bool isDone = state == PrimaryState.HandedOver && standby.Core.State == StandbyState.Live;
        bool isRefused = primary.Core.Status(0).SwitchOver.Error.Length > 0
            || standby.Core.Status().SwitchOver.Error.Length > 0;
        if (faults.MustSwitch && faults.Happened.Count == 0 && !isDone && !isRefused)
        {
            throw new RuleViolationException(
                30, $"a switch-over was asked for, and yet {primary.Core.Status(0)}; {standby.Core.Status()}");
        }
    }
}
