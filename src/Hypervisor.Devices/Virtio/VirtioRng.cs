using System;
using Hypervisor.Core.State;

namespace Hypervisor.Devices.Virtio;

/// <summary>A source of random bytes. Spec: VIRTIO 1.2, section 5.4.</summary>
public sealed class VirtioRng(DeviceContext context, ushort instance) : VirtioDevice, IPostedWork
{
    /// <summary>Most bytes given for one request; the driver asks again if it wants more.</summary>
    public const int RequestBytesMax = 1024;

    private const int RequestsPerHold = 64; // a guest that asks without end must not hold the bus lock for ever

    private readonly VirtqueueChain _chain = new();

    /// <inheritdoc/>
    public override SectionId Section => new(Tag: 0x474E_5256, instance, Version: 1); // "VRNG"

    /// <inheritdoc/>
    public override ushort DeviceType => 4;

    /// <inheritdoc/>
    public override uint ClassCode => 0x00_FF00;

    /// <inheritdoc/>
    public override ulong DeviceFeatures => 0;

    /// <inheritdoc/>
    public override int QueueCount => 1;

    /// <inheritdoc/>
    public override ushort QueueSizeMax => 64;

    /// <inheritdoc/>
    public override int ConfigBytes => 0;

    /// <inheritdoc/>
    public override void ReadConfig(Span<byte> config)
    {
    }

    /// <inheritdoc/>
    public override void ServiceQueue(int index)
    {
        Virtqueue queue = Transport.Queue(index);
        Span<byte> bytes = stackalloc byte[RequestBytesMax];
        for (int budget = RequestsPerHold; budget > 0; budget--)
        {
            switch (queue.TryPop(_chain))
            {
                case VirtqueueResult.Empty:
                    if (!queue.AskForKick())
                    {
                        return;
                    }

                    break;
                case VirtqueueResult.Chain:
                    Span<byte> wanted = bytes[..(int)Math.Min(bytes.Length, _chain.WritableBytes)];
                    context.Entropy.Fill(wanted);
                    if (!_chain.TryWrite(context.Ram, 0, wanted) || !queue.TryPush(_chain.Head, (uint)wanted.Length))
                    {
                        Transport.MarkBroken();
                        return;
                    }

                    Transport.NotifyUsed(index);
                    break;
                case VirtqueueResult.Broken:
                default:
                    Transport.MarkBroken();
                    return;
            }
        }

        context.EventLoop.Post(this);
    }

    /// <inheritdoc/>
    public void RunPosted()
    {
        if (Transport.IsRunning && Transport.Queue(0).IsEnabled)
        {
            ServiceQueue(0);
        }
    }

    /// <inheritdoc/>
    public override void OnQueueReset(int index)
    {
    }

    /// <inheritdoc/>
    public override void OnReset()
    {
    }

    /// <inheritdoc/>
    public override void Transfer(ref StateCodec state)
    {
        // Nothing stays between two requests; transport and queues are carried by the transport.
    }
}
