using System;
using Hypervisor.Backends.Console;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;

namespace Hypervisor.Devices.Virtio;

/// <summary>A virtio console with one port.</summary>
/// <remarks>
/// Spec: VIRTIO 1.2, section 5.3, without VIRTIO_CONSOLE_F_MULTIPORT: queue 0 receives, queue 1 transmits. What it
/// sends leaves through the stream's outbox as a serial line's does. A serial line is slow and a queue is not, so the
/// device paces itself: an outbox that holds seconds of it does not overflow before the lease has ended (rule 23).
/// </remarks>
public sealed class VirtioConsole : VirtioDevice
{
    /// <summary>Bytes that are sent in a second of guest time, at most.</summary>
    public const int BytesPerSecond = 1 << 20;

    /// <summary>Most bytes in one buffer chain; a longer one breaks the device.</summary>
    public const int ChainBytesMax = 1 << 16;

    private const int ReceiveQueue = 0, TransmitQueue = 1;
    private const int BurstBytes = 1 << 14;
    private const int PieceBytes = 1024;
    private const ulong EmergencyWrite = 1UL << 2;
    private const int ConfigLength = 12, EmergencyOffset = 8;
    private const long NanosPerSecond = 1_000_000_000;

    private readonly DeviceContext _context;
    private readonly ushort _instance;
    private readonly IByteStream _stream;
    private readonly VirtqueueChain _chain = new();
    private readonly GuestTimer _refill;

    private int _budgetBytes = BurstBytes; // below 0: what the last chain took ahead

    /// <summary>Makes a console; it does not own the stream.</summary>
    public VirtioConsole(DeviceContext context, ushort instance, IByteStream stream)
    {
        _instance = instance;
        _context = context;
        _stream = stream;
        _refill = context.Timers.Create(OnRefill);
    }

    /// <inheritdoc/>
    public override SectionId Section => new(Tag: 0x4E4F_4356, _instance, Version: 1); // "VCON"

    /// <inheritdoc/>
    public override ushort DeviceType => 3;

    /// <inheritdoc/>
    public override uint ClassCode => 0x07_8000; // communication controller

    /// <inheritdoc/>
    public override ulong DeviceFeatures => EmergencyWrite;

    /// <inheritdoc/>
    public override int QueueCount => 2;

    /// <inheritdoc/>
    public override ushort QueueSizeMax => 64;

    /// <inheritdoc/>
    public override int ConfigBytes => ConfigLength;

    /// <inheritdoc/>
    public override void ReadConfig(Span<byte> config)
    {
        // cols u16 @0 | rows u16 @2 | max_nr_ports u32 @4 | emerg_wr u32 @8: none of the first three was offered
        config.Clear();
        config[4] = 1;
    }

    /// <inheritdoc/>
    public override void WriteConfig(int offset, byte value)
    {
        // Works before the driver is ready, for a kernel that dies early. Spec: 5.3.4.
        if (offset == EmergencyOffset && _budgetBytes > 0)
        {
            _stream.Write([value]);
            Spend(1);
        }
    }

    /// <summary>Takes input from outside; called with the bus lock held.</summary>
    /// <returns>How many bytes were taken: as many as there are buffers for.</returns>
    public int Receive(ReadOnlySpan<byte> bytes)
    {
        int taken = 0;
        Virtqueue queue = Transport.Queue(ReceiveQueue);
        while (Transport.IsRunning && queue.IsEnabled && taken < bytes.Length)
        {
            switch (queue.TryPop(_chain))
            {
                case VirtqueueResult.Chain:
                    int count = (int)Math.Min(_chain.WritableBytes, bytes.Length - taken);
                    if (count == 0 || !_chain.TryWrite(_context.Ram, 0, bytes.Slice(taken, count))
                        || !queue.TryPush(_chain.Head, (uint)count))
                    {
                        Transport.MarkBroken();
                        return taken;
                    }

                    taken += count;
                    Transport.NotifyUsed(ReceiveQueue);
                    break;
                case VirtqueueResult.Empty:
                    return taken; // the stream offers the rest again
                case VirtqueueResult.Broken:
                default:
                    Transport.MarkBroken();
                    return taken;
            }
        }

        return taken;
    }

    /// <inheritdoc/>
    public override void ServiceQueue(int index)
    {
        if (index != TransmitQueue)
        {
            return; // new room for input: the stream finds it
        }

        Virtqueue queue = Transport.Queue(TransmitQueue);
        while (_budgetBytes > 0)
        {
            switch (queue.TryPop(_chain))
            {
                case VirtqueueResult.Empty:
                    if (!queue.AskForKick())
                    {
                        return;
                    }

                    Spend(1); // a guest that does this without end must not hold the bus lock for ever
                    break;
                case VirtqueueResult.Chain when _chain.ReadableBytes <= ChainBytesMax:
                    Send((int)_chain.ReadableBytes);
                    if (!queue.TryPush(_chain.Head, 0))
                    {
                        Transport.MarkBroken();
                        return;
                    }

                    Transport.NotifyUsed(TransmitQueue);
                    break;
                default:
                    Transport.MarkBroken();
                    return;
            }
        }
    }

    /// <inheritdoc/>
    public override void OnQueueReset(int index)
    {
        // Nothing is in flight.
    }

    /// <inheritdoc/>
    public override void OnReset()
    {
        // The budget stays: a guest that resets the device does not get another one.
    }

    /// <inheritdoc/>
    public override void Transfer(ref StateCodec state)
    {
        state.I32(ref _budgetBytes);
        _refill.Transfer(ref state);
        if (_budgetBytes is > BurstBytes or < -(ChainBytesMax + BurstBytes))
        {
            throw new StateFormatException($"console has a budget of {_budgetBytes} bytes, at most {BurstBytes}");
        }
    }

    private void Send(int lengthBytes)
    {
        Span<byte> piece = stackalloc byte[PieceBytes];
        for (int at = 0; at < lengthBytes; at += PieceBytes)
        {
            Span<byte> part = piece[..Math.Min(PieceBytes, lengthBytes - at)];
            if (_chain.TryRead(_context.Ram, at, part))
            {
                _stream.Write(part);
            }
        }

        Spend(Math.Max(1, lengthBytes));
    }

    // What was spent comes back after the time that it takes to send it at the device's pace.
    private void Spend(int count)
    {
        _budgetBytes -= count;
        if (_budgetBytes <= 0)
        {
            long wait = (BurstBytes - (long)_budgetBytes) * NanosPerSecond / BytesPerSecond;
            _refill.Arm(_context.Timers.Clock.NowNanos + wait);
        }
    }

    private void OnRefill()
    {
        _budgetBytes = BurstBytes;
        if (Transport.IsRunning && Transport.Queue(TransmitQueue).IsEnabled)
        {
            ServiceQueue(TransmitQueue);
        }
    }
}
