using System.Collections.Generic;
using System.Threading;

namespace Hypervisor.Backends.Block.Filters;

/// <summary>
/// Above the tag filter: no change reaches the disk, or the other side, before its region is durably known as changed,
/// and the log hears when it is there (fault-tolerance rules 36, 37).
/// </summary>
/// <remarks>
/// Both matter: a process that dies may have sent a write to the standby that its own disk never got.
/// While a request waits, everything behind it waits too, so that the order of submission stays. That happens once for
/// each region, and never for a region that is written to all the time.
/// </remarks>
public sealed class WriteIntentFilter : BlockFilter
{
    private readonly IWriteIntent _intent;
    private readonly Lock _lock = new(); // protects the fields below; above the intent's
    private readonly Queue<BlockRequest> _held = new();
    private readonly Stack<LoggedRequest> _idle = new();
    private bool _isReleasing;

    /// <summary>A filter over a device.</summary>
    public WriteIntentFilter(IBlockDevice inner, IWriteIntent intent)
        : base(inner)
    {
        _intent = intent;
        intent.OnPrepared = Release;
    }

    /// <inheritdoc/>
    public override void Submit(BlockRequest request)
    {
        BlockRequest below;
        lock (_lock)
        {
            if (IsLogged(request))
            {
                _intent.Enter(request.OffsetBytes, request.LengthBytes);
            }

            if (_isReleasing || _held.Count > 0 || Prepare(request) != true)
            {
                _held.Enqueue(request); // as many as the guest's queues hold
                return;
            }

            below = Logged(request);
        }

        Inner.Submit(below);
    }

    // Outside of the lock below: a request may complete at once, and who hears of it takes locks that are above.
    private void Release()
    {
        while (TryTake(out BlockRequest? request, out bool isRefused))
        {
            if (isRefused)
            {
                _intent.Leave(request!.OffsetBytes, request.LengthBytes);
                request.Complete(BlockStatus.IoError);
            }
            else
            {
                Inner.Submit(request!);
            }
        }
    }

    private bool TryTake(out BlockRequest? request, out bool isRefused)
    {
        lock (_lock)
        {
            isRefused = false;
            bool? isPrepared = _held.TryPeek(out request) ? Prepare(request) : null;
            _isReleasing = isPrepared is not null;
            if (isPrepared is null)
            {
                return false;
            }

            _ = _held.Dequeue();
            isRefused = isPrepared == false;
            request = isRefused ? request : Logged(request!);
            return true;
        }
    }

    private bool? Prepare(BlockRequest request)
        => IsLogged(request) ? _intent.IsPrepared(request.OffsetBytes, request.LengthBytes) : true;

    // Lock held.
    private BlockRequest Logged(BlockRequest request)
    {
        if (!IsLogged(request))
        {
            return request;
        }

        if (!_idle.TryPop(out LoggedRequest? logged))
        {
            logged = new LoggedRequest(this);
        }

        return logged.For(request);
    }

    // What has no length is refused below.
    private static bool IsLogged(BlockRequest request)
        => request.Operation is not (BlockOperation.Read or BlockOperation.Flush) && request.LengthBytes > 0;

    private sealed class LoggedRequest(WriteIntentFilter filter) : StandIn
    {
        protected override void OnEnded(BlockRequest below)
        {
            filter._intent.Leave(below.OffsetBytes, below.LengthBytes);
            lock (filter._lock)
            {
                filter._idle.Push(this);
            }
        }
    }
}
