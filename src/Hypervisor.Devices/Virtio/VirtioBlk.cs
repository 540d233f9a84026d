using System;
using System.Buffers.Binary;
using System.Text;
using Hypervisor.Backends.Block;
using Hypervisor.Core;
using Hypervisor.Core.State;
using Protocol = Hypervisor.Devices.Virtio.VirtioBlkProtocol;

namespace Hypervisor.Devices.Virtio;

/// <summary>A virtio disk.</summary>
/// <remarks>
/// Spec: VIRTIO 1.2, section 5.2. The data of a write is copied when the request is taken and that of a read when it
/// completes; between the two only the copy exists (fault-tolerance rules 14 and 15). What is in flight is state: after
/// a load it is read from guest RAM again and issued in the same order.
/// </remarks>
public sealed class VirtioBlk : VirtioDevice
{
    /// <summary>Largest request: the most segments of the largest size; a larger one fails.</summary>
    public const int RequestBytesMax = SegmentsMax * SegmentBytesMax; // just under 8 MiB

    private const ushort QueueSize = 256;
    private const int SegmentsMax = QueueSize - 2; // header and status take a descriptor each
    private const int SegmentBytesMax = 32 << 10;
    private const int RangeSectorsMax = 0x3F_FFFF; // 2 GiB less a sector, as in QEMU
    private const int WritebackOffset = 32;
    private const int ConfigLength = 60;
    private const int QueueCountMax = 16;

    private readonly IBlockDevice _disk;
    private readonly DeviceContext _context;
    private readonly ushort _instance;
    private readonly VirtioBlkOptions _options;
    private readonly byte[] _id = new byte[Protocol.IdBytes];
    private readonly VirtioBlkInFlight _inFlight;
    private readonly VirtioBlkService[] _services;
    private readonly VirtioBlkResize _resize;

    private ulong _capacitySectors;
    private ulong _nextSequence = 1;
    private bool _isWriteback;

    /// <summary>Makes a disk; it does not own the block device.</summary>
    public VirtioBlk(DeviceContext context, ushort instance, IBlockDevice disk, VirtioBlkOptions options)
    {
        Check.That(options.QueueCount is > 0 and <= QueueCountMax);
        _context = context;
        _instance = instance;
        _disk = disk;
        _options = options;
        _capacitySectors = (ulong)disk.LengthBytes / Protocol.SectorBytes;
        _isWriteback = options.IsWriteback;
        Encoding.ASCII.GetBytes(options.Serial.AsSpan(0, Math.Min(options.Serial.Length, _id.Length)), _id);
        _inFlight = new VirtioBlkInFlight(this, disk, context.EventLoop, options.QueueCount * QueueSize);
        _resize = new VirtioBlkResize(disk, context.EventLoop, OnResized);
        _services = new VirtioBlkService[options.QueueCount];
        for (int i = 0; i < _services.Length; i++)
        {
            _services[i] = new VirtioBlkService(this, i);
        }
    }

    /// <inheritdoc/>
    public override SectionId Section => new(Tag: 0x4B4C_4256, _instance, Version: 1); // "VBLK"

    /// <inheritdoc/>
    public override ushort DeviceType => 2;

    /// <inheritdoc/>
    public override uint ClassCode => 0x01_0000; // mass storage, as in QEMU

    /// <inheritdoc/>
    public override ulong DeviceFeatures
        => Protocol.SizeMaxFeature | Protocol.SegmentMaxFeature | Protocol.BlockSizeFeature | Protocol.FlushFeature
            | Protocol.TopologyFeature | Protocol.ConfigWceFeature | Protocol.DiscardFeature
            | Protocol.WriteZeroesFeature | (_options.QueueCount > 1 ? Protocol.MultiQueueFeature : 0)
            | (_disk.IsReadOnly ? Protocol.ReadOnlyFeature : 0);

    /// <inheritdoc/>
    public override int QueueCount => _options.QueueCount;

    /// <inheritdoc/>
    public override ushort QueueSizeMax => QueueSize;

    /// <inheritdoc/>
    public override int ConfigBytes => ConfigLength;

    /// <summary>Requests that were taken and not completed.</summary>
    public int InFlightCount => _inFlight.Count;

    private bool IsWriteThrough
        => Transport.Negotiation.Has(Protocol.ConfigWceFeature)
            ? !_isWriteback
            : !Transport.Negotiation.Has(Protocol.FlushFeature);

    /// <summary>Gives the disk another size, from soon on, and then tells the guest. Any thread.</summary>
    public void Resize(long lengthBytes) => _resize.Post(lengthBytes);

    /// <summary>Tells the guest that the disk has another size now.</summary>
    public void OnResized()
    {
        _capacitySectors = (ulong)_disk.LengthBytes / Protocol.SectorBytes;
        Transport.NotifyConfigChanged();
    }

    /// <inheritdoc/>
    public override void ReadConfig(Span<byte> config)
    {
        // capacity u64 @0 | size_max u32 @8 | seg_max u32 @12 | geometry @16 | blk_size u32 @20 | topology @24 |
        // writeback u8 @32 | num_queues u16 @34 | discard: sectors, segments, alignment u32 @36 |
        // write-zeroes: sectors, segments u32 @48, may_unmap u8 @56
        config.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(config, _capacitySectors);
        BinaryPrimitives.WriteUInt32LittleEndian(config[8..], SegmentBytesMax);
        BinaryPrimitives.WriteUInt32LittleEndian(config[12..], SegmentsMax);
        BinaryPrimitives.WriteUInt32LittleEndian(config[20..], Protocol.SectorBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(config[26..], 1); // smallest good I/O: one block
        config[WritebackOffset] = _isWriteback ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteUInt16LittleEndian(config[34..], (ushort)QueueCount);
        BinaryPrimitives.WriteUInt32LittleEndian(config[36..], RangeSectorsMax);
        BinaryPrimitives.WriteUInt32LittleEndian(config[40..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(config[44..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(config[48..], RangeSectorsMax);
        BinaryPrimitives.WriteUInt32LittleEndian(config[52..], 1);
        config[56] = 1;
    }

    /// <inheritdoc/>
    public override void WriteConfig(int offset, byte value)
    {
        if (offset == WritebackOffset && Transport.Negotiation.Has(Protocol.ConfigWceFeature))
        {
            _isWriteback = value != 0;
        }
    }

    /// <inheritdoc/>
    public override void ServiceQueue(int index)
    {
        // While a queue waits for memory the others wait behind it, or small requests would starve a large one.
        if (_inFlight.IsStalled)
        {
            _inFlight.StallLast(index);
        }
        else
        {
            _ = TryServe(index);
        }
    }

    /// <inheritdoc/>
    public override void OnQueueReset(int index) => _inFlight.Abandon(index);

    /// <inheritdoc/>
    public override void OnReset()
    {
        _inFlight.Abandon(-1);
        _isWriteback = _options.IsWriteback;
    }

    /// <inheritdoc/>
    public override void ResumeInFlight()
    {
        if (_capacitySectors != (ulong)_disk.LengthBytes / Protocol.SectorBytes)
        {
            OnResized(); // in the epoch of the cut, which came before the guest heard of it
        }

        foreach ((ushort queue, ushort head, ulong sequence) in _inFlight.TakeLoaded())
        {
            VirtioBlkRequest request = _inFlight.Rent();
            request.QueueIndex = queue;
            (ulong next, _nextSequence) = (_nextSequence, sequence);
            bool isStarted = Transport.Queue(queue).IsEnabled
                && Transport.Queue(queue).TryReadChain(head, request.Chain) && TryStart(request);
            _nextSequence = next;
            if (!isStarted)
            {
                // What the guest left alone reads as before and fits as before: it wrote over what the device owned.
                _inFlight.Return(request);
                Transport.MarkBroken();
                return;
            }
        }
    }

    /// <inheritdoc/>
    public override void Transfer(ref StateCodec state)
    {
        state.U64(ref _capacitySectors);
        state.U64(ref _nextSequence);
        state.Bool(ref _isWriteback);
        _inFlight.TransferRequests(ref state, QueueCount);
    }

    /// <summary>Whether a queue may be worked on.</summary>
    internal bool CanServe(int index) => Transport.IsRunning && Transport.Queue(index).IsEnabled;

    /// <summary>Ends a request: data, status, used ring and interrupt in one hold of the bus lock (rule 14).</summary>
    internal void OnRequestCompleted(VirtioBlkRequest request)
    {
        if (request.IsAbandoned)
        {
            _inFlight.Return(request);
        }
        else
        {
            _inFlight.Remove(request);
            byte status = request.Block.Status switch
            {
                BlockStatus.Ok => Protocol.Ok,
                BlockStatus.Unsupported => Protocol.Unsupported,
                BlockStatus.OutOfRange or BlockStatus.ReadOnly or BlockStatus.IoError => Protocol.IoError,
            };
            Finish(request, status, request.IsRead ? request.Block.Buffer.Span : default);
        }

        while (_inFlight.TryTakeStalled(out int index) && (!CanServe(index) || TryServe(index)))
        {
            // The next one that waits.
        }
    }

    // False: the next request waits for memory.
    private bool TryServe(int index)
    {
        Virtqueue queue = Transport.Queue(index);

        // A guest that refills the ring as fast as it is emptied must not hold the bus lock for ever.
        for (int budget = queue.Size * 2; budget > 0; budget--)
        {
            VirtioBlkRequest request = _inFlight.Rent();
            VirtqueueResult result = queue.TryPop(request.Chain);
            if (result != VirtqueueResult.Chain)
            {
                _inFlight.Return(request);
                if (result == VirtqueueResult.Broken)
                {
                    Transport.MarkBroken();
                    return true;
                }

                if (!queue.AskForKick())
                {
                    return true;
                }

                continue;
            }

            request.QueueIndex = index;
            if (!TryStart(request))
            {
                queue.UndoPop();
                _inFlight.Return(request);
                _inFlight.StallFirst(index);
                return false;
            }

            if (!Transport.IsRunning)
            {
                return true;
            }
        }

        _context.EventLoop.Post(_services[index]);
        return true;
    }

    // False: there is no room now, and nothing happened. Else the request is in flight, or over.
    private bool TryStart(VirtioBlkRequest request)
    {
        Span<byte> header = stackalloc byte[Protocol.HeaderBytes];
        if (!request.Chain.TryRead(_context.Ram, 0, header) || request.Chain.WritableBytes == 0)
        {
            _inFlight.Return(request);
            Transport.MarkBroken(); // not even a place for a status
            return true;
        }

        uint type = BinaryPrimitives.ReadUInt32LittleEndian(header);
        ulong sector = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
        switch (type)
        {
            case Protocol.In:
                return TryStartTransfer(request, BlockOperation.Read, sector, request.Chain.WritableBytes - 1);
            case Protocol.Out:
                return TryStartTransfer(
                    request, BlockOperation.Write, sector, request.Chain.ReadableBytes - Protocol.HeaderBytes);
            case Protocol.Flush:
                return TrySubmit(request, BlockOperation.Flush, 0, 0, 0);
            case Protocol.Discard:
                return TryStartRange(request, BlockOperation.Discard);
            case Protocol.WriteZeroes:
                return TryStartRange(request, BlockOperation.WriteZeroes);
            case Protocol.GetId:
                int count = (int)Math.Min(Protocol.IdBytes, request.Chain.WritableBytes - 1);
                return End(request, Protocol.Ok, _id.AsSpan(0, count));
            default:
                return End(request, Protocol.Unsupported, default);
        }
    }

    private bool TryStartTransfer(VirtioBlkRequest request, BlockOperation operation, ulong sector, long lengthBytes)
    {
        bool isSound = lengthBytes <= RequestBytesMax && lengthBytes % Protocol.SectorBytes == 0
            && IsInside(sector, lengthBytes) && !(operation == BlockOperation.Write && _disk.IsReadOnly);
        return isSound
            ? TrySubmit(request, operation, (long)sector * Protocol.SectorBytes, lengthBytes, (int)lengthBytes)
            : End(request, Protocol.IoError, default);
    }

    private bool TryStartRange(VirtioBlkRequest request, BlockOperation operation)
    {
        Span<byte> range = stackalloc byte[Protocol.RangeBytes];
        ulong feature = operation == BlockOperation.Discard ? Protocol.DiscardFeature : Protocol.WriteZeroesFeature;
        if (!Transport.Negotiation.Has(feature)
            || request.Chain.ReadableBytes != Protocol.HeaderBytes + Protocol.RangeBytes
            || !request.Chain.TryRead(_context.Ram, Protocol.HeaderBytes, range))
        {
            return End(request, Protocol.Unsupported, default); // more ranges than one were not offered
        }

        ulong sector = BinaryPrimitives.ReadUInt64LittleEndian(range);
        uint count = BinaryPrimitives.ReadUInt32LittleEndian(range[8..]);
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(range[12..]);
        uint allowedFlags = operation == BlockOperation.WriteZeroes ? Protocol.UnmapFlag : 0;
        if ((flags & ~allowedFlags) != 0)
        {
            return End(request, Protocol.Unsupported, default);
        }

        long lengthBytes = (long)count * Protocol.SectorBytes;
        return count <= RangeSectorsMax && IsInside(sector, lengthBytes) && !_disk.IsReadOnly
            ? TrySubmit(request, operation, (long)sector * Protocol.SectorBytes, lengthBytes, 0)
            : End(request, Protocol.IoError, default);
    }

    private bool IsInside(ulong sector, long lengthBytes)
    {
        ulong sectors = (ulong)lengthBytes / Protocol.SectorBytes;
        return sectors <= _capacitySectors && sector <= _capacitySectors - sectors;
    }

    private bool TrySubmit(
        VirtioBlkRequest request, BlockOperation operation, long offsetBytes, long lengthBytes, int bufferBytes)
    {
        if (!_inFlight.TryRentBuffer(request, bufferBytes))
        {
            return false;
        }

        BlockRequest block = request.Block;
        block.Operation = operation;
        block.OffsetBytes = offsetBytes;
        block.LengthBytes = lengthBytes;
        request.IsRead = operation == BlockOperation.Read;
        request.IsFlushDue = operation is not (BlockOperation.Read or BlockOperation.Flush) && IsWriteThrough;
        if (operation == BlockOperation.Write)
        {
            // The ranges were checked when the chain was read; RAM does not go away.
            Check.That(request.Chain.TryRead(_context.Ram, Protocol.HeaderBytes, block.Buffer.Span));
        }

        request.Sequence = _nextSequence++;
        _inFlight.Add(request);
        request.Submit();
        return true;
    }

    private bool End(VirtioBlkRequest request, byte status, ReadOnlySpan<byte> data)
    {
        Finish(request, status, data);
        return true;
    }

    private void Finish(VirtioBlkRequest request, byte status, ReadOnlySpan<byte> data)
    {
        Virtqueue queue = Transport.Queue(request.QueueIndex);
        uint written = 1;
        bool isDelivered = true;
        if (status == Protocol.Ok && !data.IsEmpty)
        {
            (isDelivered, written) = (request.Chain.TryWrite(_context.Ram, 0, data), 1 + (uint)data.Length);
        }

        isDelivered = isDelivered
            && request.Chain.TryWrite(_context.Ram, request.Chain.WritableBytes - 1, [status])
            && queue.TryPush(request.Chain.Head, written);
        _inFlight.Return(request);
        if (isDelivered)
        {
            Transport.NotifyUsed(request.QueueIndex);
        }
        else
        {
            Transport.MarkBroken();
        }
    }
}
