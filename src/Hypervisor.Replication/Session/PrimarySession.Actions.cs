using System.Threading;
using Hypervisor.Backends;
using Hypervisor.Replication.Capture;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <content>What the core wants, done.</content>
public sealed partial class PrimarySession
{
    void IPrimaryActions.Send(Message message)
    {
        if (message is HelloMessage hello)
        {
            _announced = hello.Machine.Disks;
        }

        if (_link is null)
        {
            message.Release();
        }
        else
        {
            if (message.Kind == MessageKind.EpochEnd)
            {
                _meter.Epochs.OnEnd(message.Epoch, Now);
            }

            _link.Send(message);
        }
    }

    void IPrimaryActions.CloseLink(string reason)
    {
        _link?.Close();
        Volatile.Write(ref _link, null); // pairs with BreakLink
    }

    void IPrimaryActions.StartFullCopy(WelcomeMessage welcome, in ResyncPlan plan)
    {
        foreach (DiskRange range in welcome.Doubtful)
        {
            if (range.Disk < _setup.Disks.Count)
            {
                _setup.Disks[range.Disk].MarkDoubtful(range.OffsetBytes, range.LengthBytes, plan.BaseStamp);
            }
        }

        _plan = plan;
        _replica ??= new RamReplica(_setup.Machine.Ram.PageCount);
        var run = new CaptureRun(_setup, _replica, _discarded, plan, _inbox) { Announced = _announced };
        _meter.Epochs.Restart();
        _meter.Link.Restart();
        _link!.Agree(welcome.Compression, _setup.Options.Compression.ZstdLevel);
        if (welcome.Compression != Compressions.None)
        {
            _setup.Events.OnState($"link: compressed by {welcome.Compression.Describe()}");
        }

        lock (_settled)
        {
            _settled.Clear();
        }

        Volatile.Write(ref _run, run); // pairs with OnOutboxOverflow
        _capture.StartFullCopy(run);
    }

    void IPrimaryActions.ContinueCopy(DiskRange range, bool isSame) => _run!.OnCompared(range, isSame);

    void IPrimaryActions.TellIdle(ulong epoch)
    {
        Volatile.Write(ref _idleEpoch, epoch); // pairs with OnIdle
        _setup.Machine.WhenIdle(_onIdle);
    }

    void IPrimaryActions.RequestCut(ulong epoch) => _capture.Cut(_run!, epoch);

    void IPrimaryActions.StartScrub(long bytesPerSecond)
    {
        _setup.Events.OnState($"scrub: begins, {bytesPerSecond} bytes a second");
        _run!.StartScrub(bytesPerSecond);
    }

    void IPrimaryActions.EndScrub(string? reason, long sentBytes)
        => _setup.Events.OnState(reason is null
            ? $"scrub: all of RAM and {_setup.Disks.Count - _setup.SharedDisks.Count} disks are the same, "
                + $"{sentBytes} bytes"
            : $"scrub: ended after {sentBytes} bytes: {reason}");

    void IPrimaryActions.ReleaseOutput(ulong epoch)
    {
        _isPassing = false;
        TellLease();
        foreach (IEpochOutbox outbox in _outboxes)
        {
            outbox.Release(epoch);
        }

        foreach (WriteIntentLog log in _setup.Intents)
        {
            log.Acknowledge(_plan.BaseStamp + epoch, new ReplicaPoint(_plan.Incarnation, epoch));
        }

        _meter.Epochs.OnReleased(epoch, Now);
    }

    void IPrimaryActions.PassOutput()
    {
        _isPassing = true;
        TellLease();
        foreach (IEpochOutbox outbox in _outboxes)
        {
            outbox.Pass();
        }
    }

    void IPrimaryActions.DropOutput()
    {
        _isPassing = false;
        TellLease();
        foreach (IEpochOutbox outbox in _outboxes)
        {
            outbox.Drop();
        }
    }

    void IPrimaryActions.StopCapture()
    {
        if (_run is { } run)
        {
            run.Stop();
            _capture.Close(run);
            Volatile.Write(ref _run, null);
        }
    }

    void IPrimaryActions.HoldGuest(bool isHeld) => _capture.Hold(isHeld);

    void IPrimaryActions.StopGuest(string reason) => _capture.StopGuest(static () => { });

    void IPrimaryActions.StartGuest(ulong generation)
        => _capture.StartGuest(() => _setup.Events.OnGuestRunning(generation));

    void IPrimaryActions.AskWitness(in WitnessRequest request) => _witness.Ask(request);
}
