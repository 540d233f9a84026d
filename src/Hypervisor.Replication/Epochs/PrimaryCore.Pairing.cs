using Hypervisor.Core;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Epochs;

/// <summary>From a connection to the beginning of a copy.</summary>
internal sealed partial class PrimaryCore
{
    /// <summary>
    /// A standby is connected: introduce this side. Only in a state that looks for one; else the link is closed.
    /// </summary>
    /// <param name="incarnation">A fresh random number, not 0.</param>
    /// <param name="nowNanos">Monotonic time.</param>
    public void OnConnected(ulong incarnation, long nowNanos)
    {
        Check.That(incarnation != 0 && incarnation != Incarnation);
        if (State is not (PrimaryState.Alone or PrimaryState.Waiting) || _endReason is not null)
        {
            _actions.CloseLink($"no standby is looked for while {State}");
            return;
        }

        Incarnation = incarnation;
        _isLinkUp = true;
        _welcome = null;
        _wasWaiting = State == PrimaryState.Waiting;
        _dialog.Cancel();
        Enter(PrimaryState.Pairing, "", nowNanos);
        Heard(nowNanos);
        Send(new HelloMessage
        {
            Node = _options.Node,
            Generation = _generation,
            LeaseNanos = _options.LeaseNanos,
            EpochsInFlightMax = (ushort)_options.EpochsInFlightMax,
            Machine = _options.Machine with { Disks = [.. _options.Machine.Disks] }, // in the sizes of this moment
            Compressions = _options.Compression.Allowed,
        });
    }

    private void OnWelcome(WelcomeMessage welcome, long nowNanos)
    {
        if (_options.LeaseNanos > Lease.LongestNanos(welcome.TakeoverNanos))
        {
            LoseStandby(
                $"lease is {_options.LeaseNanos} ns, the standby's takeover timeout of "
                + $"{welcome.TakeoverNanos} ns allows "
                + $"{Lease.LongestNanos(welcome.TakeoverNanos)} ns", nowNanos);
            return;
        }

        if (welcome.Compression != (welcome.Compression & _options.Compression.Allowed).Best())
        {
            LoseStandby(
                $"standby chose compression 0x{(byte)welcome.Compression:X}, offered are "
                + $"{_options.Compression.Allowed.Describe()}", nowNanos);
            return;
        }

        _welcome = welcome;
        if (_record!.IsStandbyInSync || _wasWaiting)
        {
            // After waiting: the copy makes the standby unpromotable, so the witness must know before (rule 29).
            MarkOutdated(nowNanos);
            return;
        }

        StartCopy(nowNanos);
    }

    private void StartCopy(long nowNanos)
    {
        _copy = default;
        _compared.Clear();
        _isCopyDoneSent = false;
        _goneTo = null;
        _lease.Void();
        _epochs.Reset();
        _outputEpoch = _idleEpoch = 0;
        _cutClock.Restart(nowNanos);
        _pacer?.Restart(_welcome!.StagedBytesMax, nowNanos);
        ReleasedEpoch = _appliedEpoch = _settledEpoch = 0;
        Enter(PrimaryState.Copying, "", nowNanos);
        _heartbeatNanos = nowNanos;
        WelcomeMessage welcome = _welcome!;
        _actions.StartFullCopy(
            welcome, _history.Open(Incarnation, welcome.Point, welcome.HasRam, welcome.WasPrimary));
    }
}
