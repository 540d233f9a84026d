using System;
using System.Collections.Generic;
using System.IO;
using System.Security.Cryptography;
using System.Runtime.InteropServices;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <summary>
/// The standby's rim in the simulator: RAM, disks and journal behind one worker, and the guest after a takeover.
/// </summary>
internal sealed partial class StandbyNode : SimNode, IStandbyActions, ILinkEnd
{
    private readonly Universe _universe;
    private readonly CrashPoint _crash;
    private readonly SimDisk[] _disks;
    private readonly SimJournalStore[] _stores;
    private readonly byte[] _ram = new byte[ToyMachine.Pages * ToyMachine.PageBytes];
    private readonly Dictionary<int, SimLink> _links = [];
    private readonly Queue<(Func<string?> Effect, Action<string?> Done)> _work = new();
    private EpochJournal _journal = null!;
    private StandbyCore _core = null!;
    private GuestHost _guest = null!;
    private Func<string?>? _underway;
    private bool _isMarkedComplete;    // durable, like the disks
    private ReplicaPoint _marked;      // likewise
    private ulong _incarnation;
    private bool _hasCopyFailed;
    private bool _isLive;
    private bool _flipsStaged;
    private long _slowUntil;
    private ulong _surelyCommitted;    // acknowledged epochs that must survive
    private ulong _surelyDurable;      // those that must survive a power loss
    private ulong _maybeCommitted;

    public StandbyNode(Universe universe, SimHost host)
        : base(universe.World, host.Name)
    {
        _universe = universe;
        Host = host;
        _crash = host.Crash;
        _disks = host.Disks;
        _stores = host.Stores;
        Changes = host.OpenIntents(this);
    }

    public SimHost Host { get; }

    /// <summary>What the guest changed here since it runs here.</summary>
    public ToyChanges Changes { get; private set; }

    /// <summary>What made this side the runner, and where it took over.</summary>
    public WitnessRecord Won { get; private set; } = null!;

    public ReplicaPoint WonAt { get; private set; }

    public StandbyCore Core => _core;

    public bool IsLive => _isLive;

    public GuestHost Guest => _guest;

    protected override long NextDeadline => _core.NextDeadlineNanos;

    public void Attach(SimLink link)
    {
        _links[link.Id] = link;
        Post(0, () => _core.OnConnected(link.Id, Clock));
    }

    public void FailNextDisk() => _disks[World.Prng.Next(0, _disks.Length)].FailsNext = !_isLive;

    public void FailNextAppend() => _stores[0].FailsNext = _stores[1].FailsNext = true;

    /// <summary>The worker is slow for a while.</summary>
    public void SlowDown(long nanos) => _slowUntil = World.Now + nanos;

    public void FlipStagedBit() => _flipsStaged = true;

    public void TakeOver() => Post(0, () => _core.TakeOver(Clock));

    public void OnFrame(SimLink link, Message message)
    {
        bool isStaged = message.Epoch > 0 && message.Bulk.Length > 0;
        if (_flipsStaged && isStaged && MemoryMarshal.TryGetArray(message.Bulk, out ArraySegment<byte> bytes))
        {
            _flipsStaged = false;
            bytes[World.Prng.Next(0, bytes.Count)] ^= 0x10; // memory that does not hold what it was given
            World.Trace(Name, $"has a flipped bit in {message.Kind} of {message.Epoch}");
        }

        _core.OnMessage(link.Id, message, Clock);
    }

    public void OnLost(SimLink link, LinkLoss loss, string reason)
    {
        if (_links.Remove(link.Id))
        {
            World.Trace(Name, $"lost link {link.Id}: {loss}, {reason}");
            _core.OnLinkLost(link.Id, loss, reason, Clock);
        }
    }

    void IStandbyActions.Send(int link, Message message)
    {
        if (World.IsTracing)
        {
            World.Trace(Name, $"sends {message.Kind} of {message.Epoch} {(message as RefusalMessage)?.Text}");
        }

        if (message.Kind == MessageKind.EpochAck)
        {
            _surelyCommitted = message.Epoch;
            if (_universe.Settings.Standby.IsAckDurable && _universe.History[message.Epoch].HasFlush)
            {
                _surelyDurable = message.Epoch;
            }
        }

        if (_links.TryGetValue(link, out SimLink? to))
        {
            to.Send(this, message);
        }
    }

    void IStandbyActions.CloseLink(int link, string reason)
    {
        World.Trace(Name, $"closes link {link}: {reason}");
        if (_links.Remove(link, out SimLink? closed))
        {
            closed.Close(this);
        }
    }

    void IStandbyActions.BeginFullCopy(HelloMessage hello, ReplicaPoint point) => Do(
        () =>
        {
            _journal.FlushDisks();
            _isMarkedComplete = _hasCopyFailed = false;
            _marked = point;
            _surelyCommitted = _surelyDurable = _maybeCommitted = 0;
            _incarnation = hello.Incarnation;
            _journal.Begin(_incarnation);
            return null;
        },
        error => _core.OnFullCopyReady(error, Clock));

    void IStandbyActions.ApplyCopied(Message message) => Do(
        () =>
        {
            if (message is not DiskDigestMessage)
            {
                Place(message);
            }

            return null;
        },
        error =>
        {
            if (message is DiskDigestMessage digest)
            {
                Compare(digest);
            }

            if (error is not null)
            {
                _hasCopyFailed = true;
                _core.OnFailure(error, Clock);
            }
        });

    void IStandbyActions.FinishFullCopy(FullCopyDoneMessage done, StagedEpoch @base) => Do(
        () =>
        {
            if (_hasCopyFailed)
            {
                return "a part of the copy is missing";
            }

            _journal.FlushDisks();
            if (_universe.HasReturns)
            {
                Host.ForgetIntents();
            }

            _universe.Returned += _isReturning && !_universe.Primary.ComparesAll ? 1 : 0;
            _isReturning = false;
            Host.IsDoubtful &= !_universe.Primary.ComparesAll;
            _isMarkedComplete = true;
            _marked = new ReplicaPoint(_incarnation, 0);
            CheckEpoch(0, @base);
            if (Host.IsDoubtful)
            {
                Post(World.Prng.Micros(1000, 20_000), AskForScrub);
            }

            return null;
        },
        error => _core.OnFullCopyFinished(error, Clock));

    void IStandbyActions.CommitEpoch(StagedEpoch epoch, bool isDurable)
    {
        ulong number = epoch.Epoch;
        Do(
            () =>
            {
                _maybeCommitted = number;
                _journal.Append(epoch, isDurable);
                return null;
            },
            error => _core.OnEpochCommitted(number, error, Clock));
    }

    void IStandbyActions.ApplyEpoch(StagedEpoch epoch)
    {
        ulong number = epoch.Epoch;
        Do(
            () =>
            {
                foreach (RamBlockMessage block in epoch.RamBlocks)
                {
                    Place(block);
                }

                foreach (ScrubMessage scrub in epoch.Scrubs)
                {
                    if (scrub.IsRam)
                    {
                        Compare(scrub);
                    }
                }

                _journal.Apply(epoch, Compare);
                if (_decay is null)
                {
                    CheckEpoch(number, epoch);
                }

                return null;
            },
            error => _core.OnEpochApplied(number, error, Clock));
    }

    void IStandbyActions.FlushDisks() => Do(
        () =>
        {
            _journal.Finish();
            return null;
        },
        error => _core.OnDisksFlushed(error, Clock));

    void IStandbyActions.WriteGeneration(ulong generation, ulong epoch)
        => Do(
            () =>
            {
                if (_universe.HasReturns)
                {
                    Host.PromotedGeneration = generation;
                    _marked = default;
                }

                return null;
            },
            error => _core.OnGenerationWritten(error, Clock));

    void IStandbyActions.AskWitness(in WitnessRequest request)
        => _universe.Witness.Ask(this, request, answer => _core.OnWitnessAnswer(answer, Clock));

    void IStandbyActions.WriteShared(DiskWriteMessage write)
        => throw new RuleViolationException(4, "simulated disks are not shared");

    void IStandbyActions.EmitOutput(OutputMessage output)
    {
        _repeated.Add((output.OffsetBytes, output.Bulk.ToArray()));
        output.Release();
    }

    void IStandbyActions.Discard(string reason, ReplicaPoint point)
    {
        World.Trace(Name, $"discards: {reason}");
        _repeated.Clear();
        Do(
            () =>
            {
                _isMarkedComplete = false;
                _marked = point;
                return null;
            },
            _ => { });
    }

    private readonly List<(long Offset, byte[] Bytes)> _repeated = [];

    protected override void Tick() => _core.OnTick(Clock);

    private static ReadOnlySpan<byte> StateOf(StagedEpoch epoch) => epoch.Sections[0].Bulk.Span;

    private void Emit(long offset, byte[] bytes)
        => _universe.Outside.Emit(Name, _core.Status().Generation, offset, bytes);

    private void Compare(DiskDigestMessage digest)
    {
        DiskRange range = digest.Range;
        ReadOnlySpan<byte> here = _disks[range.Disk].Bytes.AsSpan((int)range.OffsetBytes, (int)range.LengthBytes);
        bool isSame = SHA256.HashData(here).AsSpan().SequenceEqual(digest.Digest.Span);
        _core.OnCompared(range, isSame, Clock);
    }

    private void Place(Message message)
    {
        switch (message)
        {
            case RamBlockMessage ram:
                ReadOnlySpan<byte> bytes = ram.Bulk.Span;
                bytes[1..].CopyTo(_ram.AsSpan(bytes[0] * ToyMachine.PageBytes));
                break;
            case DiskBlockMessage block:
                _disks[block.Disk].Write(block.OffsetBytes, block.Bulk.Span);
                break;
            case DiskWriteMessage write when write.Bulk.Length > 0:
                _disks[write.Disk].Write(write.OffsetBytes, write.Bulk.Span);
                break;
            case DiskWriteMessage write:
                _disks[write.Disk].WriteZeroes(write.OffsetBytes, write.LengthBytes);
                break;
            default:
                throw new InvalidDataException($"nothing to place in {message.Kind}");
        }
    }

    private void Do(Func<string?> effect, Action<string?> done)
    {
        _work.Enqueue((effect, done));
        if (_underway is null)
        {
            DoNext();
        }
    }

    private void DoNext()
    {
        if (!_work.TryDequeue(out (Func<string?> Effect, Action<string?> Done) next))
        {
            _underway = null;
            return;
        }

        _underway = next.Effect;
        bool isSlow = World.Now < _slowUntil || World.Prng.OneIn(30);
        Post(isSlow ? World.Prng.Micros(1000, 20_000) : World.Prng.Micros(10, 400), () =>
        {
            string? error;
            try
            {
                error = next.Effect();
            }
            catch (IOException e)
            {
                error = e.Message;
            }

            DoNext();
            next.Done(error);
        });
    }
}
