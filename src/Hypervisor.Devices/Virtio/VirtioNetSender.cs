using System;
using Hypervisor.Backends.Network;
using Protocol = Hypervisor.Devices.Virtio.VirtioNetProtocol;

namespace Hypervisor.Devices.Virtio;

/// <summary>Brings frames from a transmit queue to the port. Spec: VIRTIO 1.2, section 5.1.6.2.</summary>
internal sealed class VirtioNetSender(VirtioNet owner, DeviceContext context, INetworkPort port, int pair)
    : PostedOnce(context.EventLoop)
{
    private const int FrameBytesMin = VnetHeader.Bytes + 14;

    private readonly VirtqueueChain _chain = new();
    private readonly byte[] _frame = new byte[NetworkPort.FrameBytesMax];

    private int Index => (2 * pair) + 1;

    /// <summary>Sends what waits, as far as there is room for it; the rest stays in the queue (rule 23).</summary>
    public void Serve()
    {
        Virtqueue queue = owner.Queue(Index);
        bool hasSent = false;
        bool isDone = false;
        for (int budget = queue.Size; budget > 0 && !isDone; budget--)
        {
            switch (queue.TryPop(_chain))
            {
                case VirtqueueResult.Empty:
                    isDone = !queue.AskForKick();
                    continue;
                case VirtqueueResult.Chain when _chain.ReadableBytes >= VnetHeader.Bytes:
                    break;
                default:
                    owner.MarkBroken();
                    return;
            }

            if (!TrySend())
            {
                queue.UndoPop();
                isDone = true; // the port says when there is room
            }
            else if (!queue.TryPush(_chain.Head, 0))
            {
                owner.MarkBroken();
                return;
            }
            else
            {
                hasSent = true;
            }
        }

        if (hasSent)
        {
            owner.NotifyUsed(Index);
        }

        if (!isDone)
        {
            Post(); // a guest that sends without end must not hold the bus lock for ever
        }
    }

    /// <inheritdoc/>
    protected override void Run()
    {
        if (owner.CanServe(Index))
        {
            Serve();
        }
    }

    // False: no room. What is no frame is taken and goes nowhere.
    private bool TrySend()
    {
        if (_chain.ReadableBytes is < FrameBytesMin or > NetworkPort.FrameBytesMax)
        {
            return true;
        }

        Span<byte> frame = _frame.AsSpan(0, (int)_chain.ReadableBytes);
        return !_chain.TryRead(context.Ram, 0, frame) || !TryCheckHeader(frame) || port.TrySend(pair, frame);
    }

    // Leaves in the header what was agreed on and makes sense. False: the frame can't be sent.
    private bool TryCheckHeader(Span<byte> frame)
    {
        var header = VnetHeader.Read(frame);
        int length = frame.Length - VnetHeader.Bytes;
        bool needsChecksum = (header.Flags & VnetHeader.NeedsChecksum) != 0 && owner.Has(Protocol.Checksum);
        bool isGso = header.GsoType != VnetHeader.GsoNone;
        bool isSound = owner.HasAll(Protocol.GsoFeaturesOfHost(header.GsoType))
            && (!isGso || (needsChecksum && header.SegmentBytes != 0))
            && (!needsChecksum || header.ChecksumStart + header.ChecksumOffset <= length - sizeof(ushort));
        VnetHeader outgoing = !isSound || !needsChecksum
            ? default
            : header with
            {
                Flags = VnetHeader.NeedsChecksum,
                HeadersBytes = (ushort)Math.Min((int)header.HeadersBytes, length),
            };
        outgoing.Write(frame, bufferCount: 0);
        return isSound;
    }
}
