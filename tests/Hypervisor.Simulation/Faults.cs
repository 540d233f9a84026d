using System;
using System.Collections.Generic;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Standby;

namespace Hypervisor.Simulation;

/// <summary>Draws a run's faults from its seed, and makes them happen.</summary>
internal sealed class Faults(Universe universe, long endNanos)
{
    private const int FaultsMax = 4;
    private const int SmallSectors = 32; // sizes are whole sectors of 512 bytes
    private const int LargeSectors = 64;
    private const int CopyBytes = 4000; // about as much as a full copy has

    private readonly int _faultKinds = 1 + (int)(universe.Extras.HasFlag(Extras.ClockJumps) ? Fault.StandbyClockJumps
        : universe.Extras == Extras.None || universe.Extras == Extras.SwitchOver ? Fault.TakeoverAskedFor
        : Fault.CopyCutOff);

    private readonly World _world = universe.World;
    private readonly List<Fault> _happened = [];

    /// <summary>What happened, in order.</summary>
    public IReadOnlyList<Fault> Happened => _happened;

    /// <summary>Whether a primary that was protected died beside a standby that was well: someone must go on.</summary>
    public bool MustTakeOver { get; private set; }

    public void Plan()
    {
        // A tenth of the runs stays whole, so that the plain path is seen too.
        int count = _world.Prng.Next(0, 10) == 0 ? 0 : _world.Prng.Next(1, FaultsMax + 1);
        for (int i = 0; i < count; i++)
        {
            var fault = (Fault)_world.Prng.Next(0, _faultKinds);
            _world.At(_world.Prng.Next(1, (int)(endNanos / 1000)) * 1000L, () => Happen(fault));
        }
    }

    private void Happen(Fault fault)
    {
        _happened.Add(fault);
        _world.Trace("FAULT", $"{fault}");
        long duration = _world.Prng.Micros(5000, 300_000);
        long until = _world.Now + duration;
        switch (fault)
        {
            case Fault.PrimaryDies:
            case Fault.PrimaryLosesPower:
                CrashPrimary(fault == Fault.PrimaryLosesPower);
                break;
            case Fault.StandbyDies:
            case Fault.StandbyLosesPower:
                CrashStandby(fault == Fault.StandbyLosesPower);
                break;
            case Fault.BothLosePower:
                CrashPrimary(isPowerLost: true);
                CrashStandby(isPowerLost: true);
                break;
            case Fault.PrimaryHangs:
                universe.Primary.Hang(duration);
                break;
            case Fault.StandbyHangs:
                universe.Standby.Hang(duration);
                break;
            case Fault.LinkBreaks:
                universe.Primary.Link?.Break();
                break;
            case Fault.NetworkDown:
                universe.NetworkDownUntil = until;
                universe.Primary.Link?.Stall(universe.Primary, until);
                universe.Primary.Link?.Stall(universe.Standby, until);
                break;
            case Fault.OneWayDown:
                universe.NetworkDownUntil = until;
                universe.Primary.Link?.Stall(_world.Prng.OneIn(2) ? universe.Primary : universe.Standby, until);
                break;
            case Fault.WitnessAway:
                universe.Witness.GoAway(duration);
                break;
            case Fault.FrameBitFlips:
                universe.Primary.Link?.FlipBit(_world.Prng.OneIn(2) ? universe.Primary : universe.Standby);
                break;
            case Fault.StagedBitFlips:
                universe.Standby.FlipStagedBit();
                break;
            case Fault.JournalFull:
                universe.Standby.FailNextAppend();
                break;
            case Fault.StandbyDiskFails:
                universe.Standby.FailNextDisk();
                break;
            case Fault.CaptureFails when universe.Primary.IsUp:
                universe.Primary.FailCapture();
                break;
            case Fault.SecondPrimary when universe.Standby.IsUp:
                _ = new Impostor(universe);
                break;
            case Fault.PlannedEnd when universe.Primary.IsUp:
                universe.Primary.PlanEnd();
                break;
            case Fault.TakeoverAskedFor:
                AskForTakeover();
                break;
            case Fault.NetworkSlow:
                _world.SlowUntil = until;
                break;
            case Fault.PrimaryConnectsTwice when universe.Standby.IsUp:
                _ = new Twin(universe);
                break;
            case Fault.PrimaryDiskSlow when universe.Primary.IsUp:
                universe.Primary.Guest.SlowDown(duration);
                break;
            case Fault.StandbyDiskSlow:
                universe.Standby.SlowDown(duration);
                break;
            case Fault.PrimaryDiskFails:
                universe.Primary.FailNextDisk();
                break;
            case Fault.CopyCutOff:
                CutCopies();
                break;
            case Fault.PrimaryClockJumps:
                universe.Primary.JumpClock(_world.Prng.Micros(1000, 200_000));
                break;
            case Fault.StandbyClockJumps:
                universe.Standby.JumpClock(_world.Prng.Micros(1000, 200_000));
                break;
            default:
                break; // nobody there
        }
    }

    /// <summary>Disks get other sizes, and those of the halves are made the same when they are not.</summary>
    public void PlanResizes(long lastNanos)
    {
        for (int i = _world.Prng.Next(1, 8); i > 0; i--)
        {
            int disk = _world.Prng.Next(0, ToyMachine.Disks);
            int sectors = _world.Prng.OneIn(2) ? SmallSectors : LargeSectors;
            _world.At(
                _world.Prng.Next(1, (int)(endNanos / 1000)) * 1000L, () => universe.Primary.Resize(disk, sectors));
        }

        for (long at = 0; at < lastNanos; at += _world.Prng.Micros(20_000, 60_000))
        {
            _world.At(at, MakeSizesSame);
        }
    }

    private void MakeSizesSame()
    {
        bool isApart = universe.Primary.IsUp && universe.Standby.IsUp && !universe.Standby.IsHung
            && universe.Primary.Core.State is PrimaryState.Alone or PrimaryState.Waiting
            && universe.Standby.Core.State == StandbyState.Idle;
        ReadOnlySpan<SimDisk> disks = universe.Primary.Disks;
        for (int i = 0; i < disks.Length && isApart; i++)
        {
            if (disks[i].LengthBytes != universe.Standby.Host.Disks[i].LengthBytes)
            {
                _world.Trace("operator", "gives the standby disks of the primary's sizes");
                universe.Standby.TakeSizes(disks);
                return;
            }
        }
    }

    /// <summary>A planned switch-over at a random moment, besides whatever else happens.</summary>
    public void PlanSwitchOver() => _world.At(
        _world.Prng.Next((int)(endNanos / 10_000), (int)(endNanos / 1000)) * 1000L,
        () =>
        {
            _world.Trace("FAULT", "switch-over");
            MustSwitch = universe.Primary.IsUp && universe.Primary.Core.State == PrimaryState.Protected
                && universe.Standby.IsUp && universe.Standby.Core.State == StandbyState.Protecting;
            AskForTakeover();
        });

    /// <summary>
    /// Whether the switch-over was asked for while both sides could: without a fault it must come to something.
    /// </summary>
    public bool MustSwitch { get; private set; }

    /// <summary>Whether a process died: then what it had won may have died with it.</summary>
    public bool HasCrash => _happened.Exists(fault => fault <= Fault.BothLosePower);

    /// <summary>The link is gone, and so is each of the next ones, some bytes into its copy.</summary>
    private void CutCopies()
    {
        for (int i = _world.Prng.Next(1, 4); i > 0; i--)
        {
            universe.CutsToCome.Enqueue(_world.Prng.Next(0, CopyBytes));
        }

        universe.Primary.Link?.Break();
    }

    private void AskForTakeover()
    {
        if (_world.Prng.OneIn(2) && universe.Primary.IsUp)
        {
            universe.Primary.SwitchOver();
        }
        else if (universe.Standby.IsUp)
        {
            universe.Standby.TakeOver();
        }
    }

    private void CrashPrimary(bool isPowerLost)
    {
        if (!universe.Primary.IsUp)
        {
            return;
        }

        MustTakeOver = universe.Standby.IsUp && universe.Primary.Core.State == PrimaryState.Protected
            && universe.Standby.Core.State == StandbyState.Protecting;
        universe.Primary.Crash(isPowerLost);
        if (_world.Prng.OneIn(3))
        {
            MustTakeOver = false; // it may be back before, and claim its place
            _world.At(_world.Prng.Micros(1000, 200_000), () => Restart(universe.Primary, universe.Primary.Start));
        }
    }

    private void CrashStandby(bool isPowerLost)
    {
        if (!universe.Standby.IsUp)
        {
            return;
        }

        MustTakeOver = false;
        bool wasLive = universe.Standby.IsLive;
        universe.Standby.Crash(isPowerLost);
        if (!wasLive && _world.Prng.OneIn(2))
        {
            _world.At(_world.Prng.Micros(1000, 200_000), () => Restart(universe.Standby, universe.Standby.Start));
        }
    }

    private void Restart(SimNode node, Action start)
    {
        if (!node.IsUp)
        {
            _world.Trace(node.Name, "starts again");
            start();
        }
    }
}
