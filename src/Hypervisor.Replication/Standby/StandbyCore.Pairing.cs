using System.Collections.Generic;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Standby;

/// <summary>From a stranger's Hello to the end of the full copy.</summary>
internal sealed partial class StandbyCore
{
    /// <summary>Somebody connected; the link is a stranger's until its Hello fits.</summary>
    public void OnConnected(int link, long nowNanos)
    {
        _nowNanos = nowNanos;
        if (_strangers.Count == StrangersMax)
        {
            _actions.CloseLink(link, $"{StrangersMax} connections without a Hello are open already");
            return;
        }

        _strangers.Add(new Stranger(link, _nowNanos + _options.ProgressNanos));
    }

    /// <summary>The rim is ready for the full copy, or not.</summary>
    public void OnFullCopyReady(string? error, long nowNanos)
    {
        _nowNanos = nowNanos;
        _rimWork--;
        if (State != StandbyState.Preparing)
        {
            return;
        }

        if (error is not null)
        {
            Fail(error);
            return;
        }

        Enter(StandbyState.Copying, "");
        Send(new WelcomeMessage
        {
            Node = _options.Node,
            StagedBytesMax = _options.StagedBytesMax,
            TakeoverNanos = _options.TakeoverNanos,
            IsAckDurable = _options.IsAckDurable,
            Point = _point,
            HasRam = _hasRam,
            WasPrimary = _doubtful is not null,
            Doubtful = _doubtful ?? [],
            Compression = (_hello!.Compressions & _options.Compressions).Best(),
        });
    }

    /// <summary>Disks and journal were found at a point when the process started. Before the first link.</summary>
    /// <param name="point">Where they stand.</param>
    /// <param name="generation">Generation in which the guest ran here; 0: it never did.</param>
    /// <param name="doubtful">What it changed after the point as the primary; null: it was not.</param>
    public void Restore(ReplicaPoint point, ulong generation, IReadOnlyList<DiskRange>? doubtful = null)
    {
        _point = point;
        _doubtful = doubtful;
        _generation = generation;
    }

    /// <summary>A range whose digest came is compared.</summary>
    public void OnCompared(DiskRange range, bool isSame, long nowNanos)
    {
        _nowNanos = nowNanos;
        if (State == StandbyState.Copying)
        {
            Send(new DiskAnswerMessage { Range = range, IsSame = isSame });
        }
    }

    /// <summary>The copy is compared, flushed and marked complete, or not.</summary>
    public void OnFullCopyFinished(string? error, long nowNanos)
    {
        _nowNanos = nowNanos;
        _rimWork--;
        if (State != StandbyState.Finishing)
        {
            return;
        }

        if (error is not null)
        {
            Fail(error);
            return;
        }

        _stage.SetBase(_base!);
        _base = null;
        _isWhole = true;
        Enter(StandbyState.Protecting, "");
        Send(new FullCopyAckMessage());
    }

    private void OnStranger(int link, Message message)
    {
        ForgetStranger(link);
        if (message is not HelloMessage hello)
        {
            message.Release();
            _actions.CloseLink(link, $"first frame is {message.Kind}, must be Hello");
            return;
        }

        // While the rim still works on what was given up, its buffers are in use.
        RefusalMessage? refusal = State == StandbyState.Idle && _rimWork == 0
            ? HelloCheck.FindMismatch(hello, _options, _generation)
            : HelloCheck.Refuse(
                "standby", $"a free one wanted by {hello.Node}", $"{State} in generation {_generation}");
        if (refusal is not null)
        {
            refusal.Incarnation = hello.Incarnation;
            _actions.Send(link, refusal);
            _actions.CloseLink(link, refusal.Text);
            return;
        }

        KeepPoint();
        _link = link;
        _hello = hello;
        _generation = hello.Generation;
        Incarnation = hello.Incarnation;
        _copy = default;
        _ackedEpoch = 0;
        _echoNanos = 0;
        _bytesReceived = 0;
        _heardNanos = _nowNanos;
        ForgetOutputs();
        _base?.Release(); // not when it was given up: the rim may have been at work on it
        _stage.Reset(hello.EpochsInFlightMax);
        _base = _stage.Take(0);
        Enter(StandbyState.Preparing, "");
        _rimWork++;
        // What was the primary's stands at its point only together with what it knows to have changed since.
        _actions.BeginFullCopy(hello, _doubtful is null ? _point : default);
    }

    /// <summary>
    /// The copy that follows may be cut off at any byte; then this side is still what it was, and newer in places.
    /// </summary>
    private void KeepPoint()
    {
        if (_isWhole)
        {
            _point = new ReplicaPoint(Incarnation, _stage.AppliedEpoch);
            _hasRam = true;
            _doubtful = null;
            _isWhole = false;
        }
    }

    private void OnFullCopyDone(FullCopyDoneMessage done)
    {
        if (done.Messages != _copy.Messages || done.CopiedBytes != _copy.Bytes || done.StreamDigest != _copy.Digest)
        {
            Reject(done, $"full copy has {_copy.Messages} messages, {_copy.Bytes} bytes, "
                + $"digest {_copy.Digest:X}, must have "
                + $"{done.Messages}, {done.CopiedBytes}, {done.StreamDigest:X}");
            return;
        }

        Enter(StandbyState.Finishing, "");
        _rimWork++;
        _actions.FinishFullCopy(done, _base!);
    }

    private void ForgetStranger(int link) => _strangers.RemoveAll(stranger => stranger.Link == link);
}
