using System;
using System.Collections.Generic;
using Hypervisor.Backends.Block;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <summary>The primary's rim in the simulator: guest, capture, outbox, connection.</summary>
internal sealed partial class PrimaryNode : SimNode, IPrimaryActions, ILinkEnd
{
    private readonly Universe _universe;
    private readonly SimDisk[] _disks;
    private readonly List<(ulong Epoch, long Offset, byte[] Bytes)> _outbox = [];
    private PrimaryCore _core = null!;
    private GuestHost _guest = null!;
    private ToyChanges _changes = null!;
    private ResyncPlan _plan;
    private IReadOnlyList<DiskIdentity> _announced = [];
    private CopyJob? _copy;
    private SimLink? _link;
    private int _captureLife;
    private ulong _tag;
    private bool _isTagging;
    private bool _isHolding;
    private bool _isDropping;
    private bool _hasStartedBefore;

    public PrimaryNode(Universe universe, SimHost host)
        : base(universe.World, host.Name)
    {
        _universe = universe;
        _disks = host.Disks;
        Host = host;
        Options = universe.Settings.Primary with
        {
            Node = host.Node,
            Machine = host.IdentityOf(universe.Settings.Primary.Machine),
        };
    }

    public SimHost Host { get; }

    public PrimaryOptions Options { get; }

    /// <summary>Whether the copy that is on its way, or was the last, compares everything.</summary>
    public bool ComparesAll => _plan.DisksAfter is null;

    public PrimaryCore Core => _core;

    public GuestHost Guest => _guest;

    public SimLink? Link => _link;

    public ReadOnlySpan<SimDisk> Disks => _disks;

    /// <summary>The next request of the guest fails, once.</summary>
    public void FailNextDisk() => _disks[World.Prng.Next(0, _disks.Length)].FailsNext = IsUp && _guest.IsRunning;

    protected override long NextDeadline => _core.NextDeadlineNanos;

    public void PlanEnd() => Post(0, () =>
    {
        if (_core.State is not (PrimaryState.Demoted or PrimaryState.Stopped))
        {
            World.Trace(Name, "guest shuts down");
            _guest.Hold(true);
            _core.PlanEnd("shutdown", Clock);
        }
    });

    /// <summary>A disk gets another size; not during a full copy.</summary>
    public void Resize(int disk, int sectors) => Post(0, () =>
    {
        if (_guest.IsRunning && !_guest.IsHeld && !(_isTagging && _tag == 0))
        {
            World.Trace(Name, $"disk {disk} gets {sectors} sectors");
            _guest.Resize(disk, sectors);
        }
    });

    public void SwitchOver() => Post(0, () => _core.SwitchOver());

    public void FailCapture() => Post(0, () => _core.OnFailure("simulated capture failure", Clock));

    public void OnFrame(SimLink link, Message message)
    {
        if (link == _link)
        {
            _core.OnMessage(message, Clock);
        }
    }

    public void OnLost(SimLink link, LinkLoss loss, string reason)
    {
        if (link == _link)
        {
            _link = null;
            _core.OnLinkLost(reason, Clock);
        }
    }

    void IPrimaryActions.Send(Message message)
    {
        if (World.IsTracing && message.Kind is not (MessageKind.RamBlock or MessageKind.DiskBlock))
        {
            World.Trace(Name, $"sends {message.Kind} of {message.Epoch}");
        }

        _announced = message is HelloMessage hello ? hello.Machine.Disks : _announced;
        _link?.Send(this, message);
    }

    void IPrimaryActions.CloseLink(string reason)
    {
        World.Trace(Name, $"closes: {reason}");
        _link?.Close(this);
        _link = null;
    }

    void IPrimaryActions.StartFullCopy(WelcomeMessage welcome, in ResyncPlan plan)
    {
        ResyncPlan copied = plan;
        if (_universe.HasReturns)
        {
            foreach (DiskRange range in welcome.Doubtful)
            {
                _changes.MarkDoubtful(range, plan.BaseStamp);
            }

            foreach (SimIntentLog log in Host.Intents)
            {
                log.Begin(new ReplicaPoint(plan.Incarnation, 0));
            }
        }

        int life = ++_captureLife;
        Post(0, () =>
        {
            if (life != _captureLife)
            {
                return;
            }

            for (int i = 0; i < _disks.Length; i++)
            {
                bool isResizing = _guest.Machine.IsResizing(i);
                if (isResizing || _disks[i].LengthBytes != _announced[i].LengthBytes)
                {
                    _core.OnFailure($"disk {i} was resized while the copy began", Clock);
                    return;
                }
            }

            // Tagging begins, and what is in flight already is tagged, at one moment: overlapping writes keep
            // their order.
            _plan = copied;
            _universe.History.Begin(_disks);
            _isTagging = true;
            _tag = 0;
            _changes.Stamp = copied.BaseStamp;
            _changes.TakeDirtyPages(_guest.Machine);
            _copy = new CopyJob(_guest, _disks, World.Prng, _changes, copied);
            if (!IsTaggedAtCompletion)
            {
                foreach (ToyRequest request in _guest.Underway)
                {
                    Tag(request);
                }
            }

            CopyNext(life);
        });
    }

    void IPrimaryActions.ContinueCopy(DiskRange range, bool isSame) => _copy?.OnCompared(range, isSame);

    void IPrimaryActions.TellIdle(ulong epoch)
        => Post(World.Prng.Micros(5, 3000), () => _core.OnGuestIdle(epoch, Clock));

    void IPrimaryActions.RequestCut(ulong epoch)
    {
        int life = _captureLife;
        Post(World.Prng.Micros(5, 300), () => Cut(life, epoch));
    }

    void IPrimaryActions.ReleaseOutput(ulong epoch)
    {
        World.Trace(Name, $"releases {epoch}");
        int count = 0;
        while (count < _outbox.Count && _outbox[count].Epoch <= epoch)
        {
            Emit(_outbox[count].Offset, _outbox[count].Bytes);
            count++;
        }

        _outbox.RemoveRange(0, count);
        foreach (SimIntentLog log in Host.Intents)
        {
            log.Regions.Acknowledge(_plan.BaseStamp + epoch, new ReplicaPoint(_plan.Incarnation, epoch));
        }
    }

    void IPrimaryActions.PassOutput()
    {
        World.Trace(Name, "passes output");
        _universe.Outside.GoOnAlone(Name, _core.Status(Clock).Generation);
        foreach ((_, long offset, byte[] bytes) in _outbox)
        {
            Emit(offset, bytes);
        }

        _outbox.Clear();
        _isHolding = false;
    }

    void IPrimaryActions.DropOutput()
    {
        _outbox.Clear();
        _isDropping = true;
    }

    void IPrimaryActions.StopCapture()
    {
        _captureLife++;
        _isTagging = false;
        _copy = null;
    }

    void IPrimaryActions.HoldGuest(bool isHeld) => _guest.Hold(isHeld);

    void IPrimaryActions.StopGuest(string reason)
    {
        World.Trace(Name, $"stops: {reason}");
        _guest.Stop();
    }

    void IPrimaryActions.AskWitness(in WitnessRequest request)
        => _universe.Witness.Ask(this, request, answer => _core.OnWitnessAnswer(answer, Clock));

    protected override void Tick() => _core.OnTick(Clock);

    private void Connect()
    {
        Post(World.Prng.Micros(10_000, 40_000), Connect);
        if (_link is null && _core.State is PrimaryState.Alone or PrimaryState.Waiting && _universe.CanConnect)
        {
            _link = _universe.Connect(this);
            _core.OnConnected(World.Prng.Next() | 1, Clock);
        }
    }

    private void Print(long offset, byte[] bytes)
    {
        if (_isDropping)
        {
            return;
        }

        if (_isHolding)
        {
            _outbox.Add((_tag, offset, bytes));
            _core.OnOutputWaiting(_tag, Clock);
        }
        else
        {
            Emit(offset, bytes);
        }
    }

    private void Emit(long offset, byte[] bytes)
        => _universe.Outside.Emit(Name, _core.Status(Clock).Generation, offset, bytes);

    private void Tag(ToyRequest request)
    {
        _changes.Mark(request);
        if (!_isTagging)
        {
            return;
        }

        _universe.History.Apply(request);
        var message = new DiskWriteMessage
        {
            Disk = (ushort)request.Disk,
            Operation = request.Operation,
            OffsetBytes = request.Sector * SimDisk.SectorBytes,
            LengthBytes = request.Count * SimDisk.SectorBytes,
            Epoch = _tag,
        };
        message.Attach(request.Operation == BlockOperation.Write ? request.Data() : default, null);
        _core.OnDiskWrite(message, Clock);
    }

    private void CopyNext(int life)
    {
        if (life != _captureLife || _copy is null)
        {
            return;
        }

        if (_copy.Next() is { } message)
        {
            Post(World.Prng.Micros(10, 300), () => CopyNext(life));
            _core.OnCopied(message, Clock);
        }
        else if (_copy.IsDone)
        {
            _core.OnCopyConverged(Clock);
        }
        else
        {
            Post(World.Prng.Micros(100, 500), () => CopyNext(life));
        }
    }

    private void Cut(int life, ulong epoch)
    {
        if (life != _captureLife)
        {
            return;
        }

        byte[] state = _guest.Machine.Save();
        _universe.History.Take(_guest.Machine, state);
        var captured = new List<Message>();
        foreach (int page in _changes.TakeDirtyPages(_guest.Machine))
        {
            captured.Add(CopyJob.Block(_guest.Machine, page));
        }

        var section = new SectionMessage();
        section.Attach(state, null);
        captured.Insert(World.Prng.Next(0, captured.Count + 1), section);
        foreach ((ulong of, long offset, byte[] bytes) in _outbox)
        {
            if (of == epoch)
            {
                var output = new OutputMessage { Stream = 0, OffsetBytes = offset };
                output.Attach(bytes, null);
                captured.Add(output);
            }
        }

        captured.AddRange(ScrubCut());
        _tag = epoch + 1;
        _changes.Stamp++;
        _isHolding = true;
        _core.OnCutTaken(epoch, Clock);
        Hand(life, epoch, captured, 0);
    }

    private void Hand(int life, ulong epoch, List<Message> captured, int index)
        => Post(World.Prng.Micros(5, 200), () =>
        {
            if (life != _captureLife)
            {
                return;
            }

            if (index == captured.Count)
            {
                _core.OnCutMeasured(new EpochCost(
                    World.Prng.Micros(50, 600), World.Prng.Micros(5, 4000), captured.Count));
                _core.OnCaptureDone(epoch, [], Clock);
                return;
            }

            captured[index].Epoch = epoch;
            Hand(life, epoch, captured, index + 1);
            if (captured[index] is ScrubMessage scrub)
            {
                HandScrub(scrub);
            }
            else
            {
                _core.OnCaptured(captured[index], Clock);
            }
        });
}
