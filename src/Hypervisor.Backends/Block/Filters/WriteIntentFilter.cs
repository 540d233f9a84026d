using System.Collections.Generic;
using System.Threading;

namespace Hypervisor.Backends.Block.Filters;

/// <summary>
/// Above any image: no change reaches it before its region is durably known as changed (fault-tolerance rules 36, 37).
/// </summary>
/// <remarks>
/// While a request waits, everything behind it waits too, so that the order of submission stays. That happens once for
/// each region, and never for a region that is written to all the time.
/// </remarks>
public sealed class WriteIntentFilter : BlockFilter
{
    private readonly IWriteIntent _intent;
    private readonly Lock _lock = new(); // protects the fields below; below the tag filter's, above the intent's
    private readonly Queue<BlockRequest> _held = new();
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
        lock (_lock)
        {
            if (_isReleasing || _held.Count > 0 || Prepare(request) != true)
            {
                _held.Enqueue(request); // as many as the guest's queues hold
                return;
            }
        }

        Inner.Submit(request);
    }

    // Outside of the lock below: a request may complete at once, and who hears of it takes locks that are above.
    private void Release()
    {
        while (TryTake(out BlockRequest? request, out bool isRefused))
        {
            if (isRefused)
            {
                request!.Complete(BlockStatus.IoError);
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
            return true;
        }
    }

    private bool? Prepare(BlockRequest request) => request.Operation switch
    {
        BlockOperation.Read or BlockOperation.Flush => true,
        _ when request.LengthBytes <= 0 => true, // refused below
        _ => _intent.TryPrepare(request.OffsetBytes, request.LengthBytes),
    };
}
