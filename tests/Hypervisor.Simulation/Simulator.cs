using System;
using System.Linq;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Standby;

namespace Hypervisor.Simulation;

/// <summary>Runs schedules: each is a whole life of a pair, determined by its seed.</summary>
internal static class Simulator
{
    private const long FaultsNanos = 300_000_000;  // when faults may happen
    private const long SettleNanos = 900_000_000;  // longer than all timeouts and outages together
    private const long LookNanos = 1_000_000;      // how often a run that has to go on is looked at

    private const long SlowDiskNanos = 60_000_000; // three slow operations of the worker

    /// <summary>Runs the schedule of a seed.</summary>
    /// <param name="seed">All chance of the run.</param>
    /// <param name="trace">Who wants to read along.</param>
    /// <param name="scrubbing">What is scrubbed.</param>
    /// <param name="extras">What the schedule has besides.</param>
    public static RunResult Run(
        ulong seed,
        Action<string>? trace = null,
        Scrubbing scrubbing = Scrubbing.None,
        Extras extras = Extras.None)
    {
        var world = new World(seed, trace);
        var universe = new Universe(world, extras);
        bool withSwitchOver = extras.HasFlag(Extras.SwitchOver);
        long faultsNanos = universe.HasReturns ? 2 * FaultsNanos : FaultsNanos;
        var faults = new Faults(universe, faultsNanos);
        RuleViolationException? violation = null;
        try
        {
            if (extras.HasFlag(Extras.LyingDisks))
            {
                bool isPrimary = universe.HasReturns && world.Prng.OneIn(2);
                (isPrimary ? universe.Primary.Host : universe.Standby.Host).Lie();
            }

            universe.Standby.Start();
            universe.Primary.Start();
            if (scrubbing != Scrubbing.Decayed)
            {
                faults.Plan();
            }

            if (withSwitchOver)
            {
                faults.PlanSwitchOver();
            }

            PlanScrubs(universe, scrubbing);
            if (extras.HasFlag(Extras.Resizes))
            {
                faults.PlanResizes(faultsNanos + (SettleNanos / 2));
            }

            PlanReturns(universe, faultsNanos + (SettleNanos / 4));
            world.RunUntil(faultsNanos);
            if (faults.Happened.Count > 0 || withSwitchOver || scrubbing == Scrubbing.Decayed)
            {
                world.RunUntil(faultsNanos + SettleNanos);
            }

            if (scrubbing == Scrubbing.Decayed)
            {
                CheckScrub(universe);
            }
            else
            {
                CheckEnd(universe, faults, withSwitchOver);
            }
        }
        catch (RuleViolationException e)
        {
            violation = e;
        }
        catch (Exception e)
        {
            violation = new RuleViolationException(0, $"{e}"); // a bug of the core or of the simulator: keep its seed
        }

        return new RunResult(
            seed,
            violation,
            world.Events,
            universe.Primary.Core.Status(0).AckedEpoch,
            universe.Standby.IsLive,
            universe.Primary.Core.State == PrimaryState.HandedOver,
            faults.Happened,
            universe.Primary.SoundScrubs,
            universe.Standby.DoubtsEnded,
            universe.Standby.DoubtsConfirmed,
            universe.Returned);
    }

    private static void PlanReturns(Universe universe, long endNanos)
    {
        World world = universe.World;
        for (long at = 0; universe.HasReturns && at < endNanos; at += world.Prng.Micros(1000, 100_000))
        {
            world.At(at, universe.TrySwapRoles);
        }
    }

    private static void PlanScrubs(Universe universe, Scrubbing scrubbing)
    {
        World world = universe.World;
        const int LastMicros = (int)(FaultsNanos / 1000);
        if (scrubbing == Scrubbing.Sound)
        {
            for (int i = world.Prng.Next(1, 5); i > 0; i--)
            {
                world.At(world.Prng.Next(1, LastMicros) * 1000L, universe.Primary.Scrub);
            }
        }
        else if (scrubbing == Scrubbing.Decayed)
        {
            world.At(world.Prng.Next(LastMicros / 3, LastMicros) * 1000L, () => DecayAndScrub(universe));
        }
    }

    private static void DecayAndScrub(Universe universe)
    {
        if (universe.Primary.Core.State == PrimaryState.Protected
            && universe.Standby.Core.State == StandbyState.Protecting)
        {
            universe.Standby.Decay();
            universe.Primary.Scrub();
        }
    }

    /// <summary>
    /// What had decayed was found, and said by the place; or the guest had written over it before (rule 25).
    /// </summary>
    private static void CheckScrub(Universe universe)
    {
        ScrubStatus scrub = universe.Primary.Core.Status(0).Scrub;
        bool isTold = scrub.State != ScrubState.Ended || scrub.Reason.Contains("scrub: ", StringComparison.Ordinal);
        bool isLoud = scrub.State != ScrubState.Ended || universe.Standby.Core.State == StandbyState.Failed;
        if (scrub.State == ScrubState.Running || !isTold || !isLoud)
        {
            throw new RuleViolationException(25, $"after a byte decayed: {scrub}; {universe.Standby.Core.Status()}");
        }
    }

    /// <summary>What must have come of it in the end.</summary>
    private static void CheckEnd(Universe universe, Faults faults, bool withSwitchOver)
    {
        PrimaryCore primary = universe.Primary.Core;
        StandbyCore standby = universe.Standby.Core;
        if (primary.State == PrimaryState.Ended && standby.State == StandbyState.Live)
        {
            throw new RuleViolationException(30, "the guest ended on purpose, and the standby went live");
        }

        if (universe.Primary.IsUp && universe.Primary.Guest.IsRunning)
        {
            universe.Primary.Guest.CheckBelieved("the primary");
        }

        if (universe.Primary.IsUp && universe.Primary.Guest.IsRunning && !universe.Primary.Host.IsDoubtful)
        {
            universe.Outside.CheckRecords("the primary", universe.Primary.Disks[0].Bytes);
        }

        bool isPair = universe.Primary.IsUp && primary.State == PrimaryState.Protected
            && universe.Standby.IsUp && standby.State == StandbyState.Protecting;
        if (isPair && universe.Standby.Host.IsDoubtful)
        {
            throw new RuleViolationException(25, "protection goes on, and a doubt about the copy was not settled");
        }

        if ((universe.Extras & (Extras.Returns | Extras.Resizes)) != 0)
        {
            CheckNobodyHangs(universe, faults);
            return;
        }

        if (withSwitchOver)
        {
            SwitchOverCheck.AtEnd(universe, faults);
            CheckNobodyHangs(universe, faults);
            return;
        }

        if (faults.Happened.Count == 0)
        {
            // A disk that is slow several times in a row may exceed the shortest timeouts: safe, and nobody's fault.
            PrimaryOptions options = universe.Settings.Primary;
            PrimaryStatus status = primary.Status(0);
            if (options.ProgressNanos - options.LeaseNanos < SlowDiskNanos)
            {
                return;
            }

            if (status.State != PrimaryState.Protected || status.AckedEpoch < 5
                || status.ReleasedEpoch + 8 < status.OpenEpoch)
            {
                throw new RuleViolationException(8, $"nothing happened, and yet {status}; {standby.Status()}");
            }

            return;
        }

        bool isOnly = faults.Happened.Count == 1;
        if (isOnly && faults.MustTakeOver && standby.State != StandbyState.Live)
        {
            throw new RuleViolationException(21, $"the primary died protected, and the standby is {standby.Status()}");
        }

        if (isOnly && faults.Happened[0] is Fault.StandbyDies or Fault.StandbyLosesPower)
        {
            CheckPrimaryGoesOn(universe);
        }

        if (isOnly && faults.Happened[0] == Fault.PlannedEnd && primary.State != PrimaryState.Ended)
        {
            throw new RuleViolationException(30, $"planned end, and yet {primary.Status(0)}; {standby.Status()}");
        }

        CheckNobodyHangs(universe, faults);
    }

    private static void CheckPrimaryGoesOn(Universe universe)
    {
        PrimaryStatus status = universe.Primary.Core.Status(0);
        bool mayStand = universe.Settings.Primary.OnStandbyLost != StandbyLossPolicy.Alone;
        bool runs = status.State is PrimaryState.Alone or PrimaryState.Pairing or PrimaryState.Copying
            or PrimaryState.Syncing or PrimaryState.Protected;
        if (!runs && !mayStand)
        {
            throw new RuleViolationException(29, $"only the standby died, and yet {status}");
        }
    }

    /// <summary>
    /// Every phase ends (rule 31): with faults over, nobody is left in a state that is meant to pass. Timeouts as short
    /// as a run may have are exceeded by its slow disks too, also just before the end: who is in one gets its time.
    /// </summary>
    private static void CheckNobodyHangs(Universe universe, Faults faults)
    {
        long end = universe.World.Now + SettleNanos;
        while (IsSomebodyOnTheWay(universe) && universe.World.Now < end)
        {
            universe.World.RunUntil(universe.World.Now + LookNanos);
        }

        if (IsSomebodyOnTheWay(universe))
        {
            string happened = string.Join(", ", faults.Happened.Select(fault => $"{fault}"));
            throw new RuleViolationException(
                31, $"after {happened}: {universe.Primary.Core.Status(0)}; {universe.Standby.Core.Status()}");
        }
    }

    private static bool IsSomebodyOnTheWay(Universe universe)
    {
        PrimaryState primary = universe.Primary.Core.State;
        StandbyState standby = universe.Standby.Core.State;
        bool isPrimaryStuck = universe.Primary.IsUp
            && primary is PrimaryState.Starting or PrimaryState.Deciding or PrimaryState.Ending
                or PrimaryState.SwitchingOver;
        bool isStandbyStuck = universe.Standby.IsUp
            && standby is StandbyState.TakingOver or StandbyState.Deciding or StandbyState.Ending;
        return isPrimaryStuck || isStandbyStuck;
    }
}
