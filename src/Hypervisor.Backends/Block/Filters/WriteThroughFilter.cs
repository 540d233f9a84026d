using System;
using System.Collections.Generic;
using System.Threading;

namespace Hypervisor.Backends.Block.Filters;

/// <summary>Makes every write durable before it completes: cache modes writethrough and directsync.</summary>
public sealed class WriteThroughFilter(IBlockDevice inner) : BlockFilter(inner)
{
    private readonly Lock _lock = new(); // protects _free; nothing is called out under it
    private readonly Stack<Step> _free = new();

    /// <inheritdoc/>
    public override void Submit(BlockRequest request)
    {
        if (request.Operation is BlockOperation.Read or BlockOperation.Flush)
        {
            Inner.Submit(request);
            return;
        }

        Step? step;
        lock (_lock)
        {
            _ = _free.TryPop(out step);
        }

        (step ?? new Step(this)).Start(request);
    }

    private void Return(Step step)
    {
        lock (_lock)
        {
            _free.Push(step); // as many as were ever in flight at once, which the submitters bound
        }
    }

    /// <summary>One write on its way: first itself, then a flush.</summary>
    private sealed class Step
    {
        private readonly WriteThroughFilter _filter;
        private readonly BlockRequest _below;
        private BlockRequest? _above;

        public Step(WriteThroughFilter filter)
        {
            _filter = filter;
            _below = new BlockRequest(OnCompleted);
        }

        public void Start(BlockRequest request)
        {
            _above = request;
            _below.Operation = request.Operation;
            _below.OffsetBytes = request.OffsetBytes;
            _below.LengthBytes = request.LengthBytes;
            _below.Buffer = request.Buffer;
            _filter.Inner.Submit(_below);
        }

        private void OnCompleted(BlockRequest below)
        {
            if (below.Status == BlockStatus.Ok && below.Operation != BlockOperation.Flush)
            {
                below.Operation = BlockOperation.Flush;
                below.OffsetBytes = 0;
                below.LengthBytes = 0;
                below.Buffer = Memory<byte>.Empty;
                _filter.Inner.Submit(below);
                return;
            }

            BlockRequest? above = _above;
            BlockStatus status = below.Status;
            _above = null;
            below.Buffer = Memory<byte>.Empty;
            _filter.Return(this);
            above?.Complete(status);
        }
    }
}
