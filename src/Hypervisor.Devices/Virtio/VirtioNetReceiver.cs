using System;
using Hypervisor.Backends.Network;

namespace Hypervisor.Devices.Virtio;

/// <summary>Brings frames from the port into a receive queue. Spec: VIRTIO 1.2, section 5.1.6.4.</summary>
internal sealed class VirtioNetReceiver(VirtioNet owner, DeviceContext context, INetworkPort port, int pair)
    : PostedOnce(context.EventLoop)
{
    private const int FramesPerHold = 256; // a network that never rests must not hold the bus lock for ever

    private readonly VirtqueueChain _first = new();
    private readonly VirtqueueChain _next = new();
    private readonly (ushort Head, uint WrittenBytes)[] _filled = new (ushort, uint)[VirtioNet.QueueSize];
    private readonly byte[] _frame = new byte[NetworkPort.FrameBytesMax];

    private enum Result
    {
        Delivered,
        Dropped,
        NoBuffers,
        LookAgain,
        Broken,
    }

    private int Index => 2 * pair;

    /// <summary>Delivers what waits, as far as there are buffers for it.</summary>
    public void Deliver()
    {
        bool hasDelivered = false;
        for (int budget = FramesPerHold; budget > 0; budget--)
        {
            if (!port.TryPeek(pair, out ReadOnlySpan<byte> frame))
            {
                Finish(hasDelivered);
                return;
            }

            Result result = owner.CanServe(Index) ? TryDeliver(frame) : Result.Dropped; // nobody is there to take it
            if (result is Result.Delivered or Result.Dropped)
            {
                port.Remove(pair);
            }

            hasDelivered |= result == Result.Delivered;
            if (result is Result.NoBuffers or Result.Broken)
            {
                Finish(hasDelivered);
                if (result == Result.Broken)
                {
                    owner.MarkBroken();
                }

                return;
            }
        }

        Finish(hasDelivered);
        Post();
    }

    /// <inheritdoc/>
    protected override void Run() => Deliver();

    private void Finish(bool hasDelivered)
    {
        if (hasDelivered)
        {
            owner.NotifyUsed(Index);
        }
    }

    private Result TryDeliver(ReadOnlySpan<byte> frame)
    {
        var header = VnetHeader.Read(frame);
        ReadOnlySpan<byte> body = frame[VnetHeader.Bytes..];
        if (!owner.Takes(header, body))
        {
            return Result.Dropped;
        }

        if (!owner.TakesPartialChecksums)
        {
            if ((header.Flags & VnetHeader.NeedsChecksum) != 0)
            {
                Span<byte> own = _frame.AsSpan(0, body.Length);
                body.CopyTo(own);
                if (!SoftwareOffload.TryComplete(header, own))
                {
                    return Result.Dropped;
                }

                body = own;
            }

            header = default;
        }

        return TryFill(header, body);
    }

    private Result TryFill(in VnetHeader header, ReadOnlySpan<byte> body)
    {
        Virtqueue queue = owner.Queue(Index);
        bool merges = owner.MergesBuffers;
        int count = 0;
        int left = VnetHeader.Bytes + body.Length;
        while (left > 0)
        {
            VirtqueueChain chain = count == 0 ? _first : _next;
            VirtqueueResult result = queue.TryPop(chain);
            if (result == VirtqueueResult.Empty)
            {
                queue.UndoPop(count);
                return queue.AskForKick(count) ? Result.LookAgain : Result.NoBuffers;
            }

            int skip = count == 0 ? VnetHeader.Bytes : 0;
            if (result == VirtqueueResult.Broken || chain.WritableBytes < Math.Max(skip, 1))
            {
                return Result.Broken; // not even a place for the header
            }

            bool isTooSmall = chain.WritableBytes < left && (!merges || count + 1 == queue.Size);
            if (isTooSmall)
            {
                queue.UndoPop(count + 1);
                return Result.Dropped; // the driver is to offer buffers for the largest frame that it wants
            }

            int part = (int)Math.Min(chain.WritableBytes, left);
            if (!chain.TryWrite(context.Ram, skip, body[..(part - skip)]))
            {
                return Result.Broken;
            }

            body = body[(part - skip)..];
            left -= part;
            _filled[count++] = (chain.Head, (uint)part);
        }

        return TryShow(queue, header, count) ? Result.Delivered : Result.Broken;
    }

    // All buffers of a frame at once: the driver takes the rest of a frame as soon as it sees the first of them.
    private bool TryShow(Virtqueue queue, in VnetHeader header, int count)
    {
        Span<byte> bytes = stackalloc byte[VnetHeader.Bytes];
        header.Write(bytes, (ushort)count);
        bool isSound = _first.TryWrite(context.Ram, 0, bytes);
        for (int i = 0; i < count; i++)
        {
            isSound = isSound && queue.TryFill(i, _filled[i].Head, _filled[i].WrittenBytes);
        }

        return isSound && queue.TryShow(count);
    }
}
