using System;
using System.Buffers.Binary;
using System.Threading;
using Hypervisor.Core;
using Hypervisor.Core.Memory;
using Hypervisor.Core.State;

namespace Hypervisor.Devices.Virtio;

/// <summary>A split virtqueue, the device's side. Called with the bus lock held.</summary>
/// <remarks>
/// Spec: VIRTIO 1.2, section 2.7. All in guest RAM, little-endian:
/// <code>
/// descriptor  16 bytes: address u64 | length u32 | flags u16 (1 next, 2 device writes, 4 indirect) | next u16
/// available   flags u16 (1 no interrupt) | idx u16 | ring u16[size] | used_event u16
/// used        flags u16 | idx u16 | { id u32 | length u32 }[size] | avail_event u16
/// </code>
/// The guest may change any of it at any time: each value is read once, checked, then used. A ring that breaks the
/// rules is reported as broken and nothing else happens.
/// </remarks>
public sealed class Virtqueue
{
    /// <summary>Interrupt vector of a queue that has none.</summary>
    public const ushort NoVector = 0xFFFF;

    private const int DescriptorBytes = 16, UsedElementBytes = 8;
    private const int IndexOffset = 2, RingOffset = 4;
    private const ushort HasNext = 1, IsWritable = 2, IsIndirect = 4;
    private const ushort NoInterrupt = 1;

    private readonly GuestRam _ram;
    private readonly VirtioNegotiation _negotiation;
    private readonly ushort _sizeMax;

    private ushort _size;
    private ushort _vector;
    private bool _isEnabled;
    private ulong _descriptors;
    private ulong _available;
    private ulong _used;
    private ushort _nextAvailable; // free-running index of the next available entry to take
    private ushort _nextUsed;      // free-running index of the next used entry to fill
    private ushort _signalledUsed; // _nextUsed at the last interrupt
    private bool _hasSignalled;

    /// <summary>Makes a queue that the driver did not set up yet.</summary>
    public Virtqueue(GuestRam ram, VirtioNegotiation negotiation, ushort sizeMax)
    {
        _ram = ram;
        _negotiation = negotiation;
        _sizeMax = sizeMax;
        Reset();
    }

    /// <summary>Number of descriptors; a power of two.</summary>
    public ushort Size => _size;

    /// <summary>Whether the driver put it to use.</summary>
    public bool IsEnabled => _isEnabled;

    /// <summary>MSI-X vector of its interrupt, or <see cref="NoVector"/>.</summary>
    public ushort Vector
    {
        get => _vector;
        set => _vector = value;
    }

    /// <summary>GPA of the descriptor table.</summary>
    public ulong Descriptors
    {
        get => _descriptors;
        set => _descriptors = _isEnabled ? _descriptors : value;
    }

    /// <summary>GPA of the available ring.</summary>
    public ulong Available
    {
        get => _available;
        set => _available = _isEnabled ? _available : value;
    }

    /// <summary>GPA of the used ring.</summary>
    public ulong Used
    {
        get => _used;
        set => _used = _isEnabled ? _used : value;
    }

    /// <summary>Back to power-on state.</summary>
    public void Reset()
    {
        _size = _sizeMax;
        _vector = NoVector;
        _isEnabled = false;
        _descriptors = 0;
        _available = 0;
        _used = 0;
        _nextAvailable = 0;
        _nextUsed = 0;
        _signalledUsed = 0;
        _hasSignalled = false;
    }

    /// <summary>Takes a size from the driver; one that is no power of two or too large changes nothing.</summary>
    public void Resize(ushort size)
    {
        if (!_isEnabled && size != 0 && size <= _sizeMax && (size & (size - 1)) == 0)
        {
            _size = size;
        }
    }

    /// <summary>Puts the queue to use. False when its rings are not aligned, or not in RAM, as they must be.</summary>
    public bool TryEnable()
    {
        bool isPlaced = (_descriptors & 15) == 0 && (_available & 1) == 0 && (_used & 3) == 0
            && _ram.TryGetOffset(_descriptors, (long)_size * DescriptorBytes, out _)
            && _ram.TryGetOffset(_available, RingOffset + (_size * sizeof(ushort)) + sizeof(ushort), out _)
            && _ram.TryGetOffset(_used, RingOffset + (_size * UsedElementBytes) + sizeof(ushort), out _);
        _isEnabled |= isPlaced;
        return isPlaced;
    }

    /// <summary>Takes the next chain that the driver made available.</summary>
    public VirtqueueResult TryPop(VirtqueueChain chain)
    {
        Check.That(_isEnabled);
        if (!_ram.TryReadU16(_available + IndexOffset, out ushort index))
        {
            return VirtqueueResult.Broken;
        }

        ushort waiting = (ushort)(index - _nextAvailable);
        if (waiting == 0)
        {
            return VirtqueueResult.Empty;
        }

        // The entry may be read only after the index that covers it; pairs with the driver's store barrier.
        Interlocked.MemoryBarrier();
        ulong slot = _available + RingOffset + ((ulong)(_nextAvailable & (_size - 1)) * sizeof(ushort));
        if (waiting > _size || !_ram.TryReadU16(slot, out ushort head) || !TryReadChain(head, chain))
        {
            return VirtqueueResult.Broken;
        }

        _nextAvailable++;
        return VirtqueueResult.Chain;
    }

    /// <summary>Puts the chains that were taken last back, to take them again later.</summary>
    public void UndoPop(int count = 1) => _nextAvailable -= (ushort)count;

    /// <summary>Reads the chain that starts at a descriptor. False when it breaks the rules.</summary>
    public bool TryReadChain(ushort head, VirtqueueChain chain)
    {
        chain.Begin(head);
        ulong table = _descriptors;
        uint tableCount = _size;
        bool isInIndirect = false;
        uint next = head;
        Span<byte> bytes = stackalloc byte[DescriptorBytes];

        // A chain that visits more descriptors than its table has runs in a circle.
        for (uint visited = 0; visited < tableCount; visited++)
        {
            if (next >= tableCount || !_ram.TryRead(table + (next * DescriptorBytes), bytes))
            {
                return false;
            }

            ulong gpa = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
            ushort flags = BinaryPrimitives.ReadUInt16LittleEndian(bytes[12..]);
            next = BinaryPrimitives.ReadUInt16LittleEndian(bytes[14..]);
            if ((flags & IsIndirect) != 0)
            {
                // Only at the end of a chain, and not in a table that is itself indirect. Spec: 2.7.5.3.1.
                if (isInIndirect || (flags & HasNext) != 0
                    || !_negotiation.Has(VirtioFeature.RingIndirectDescriptors) || !IsIndirectTable(gpa, length))
                {
                    return false;
                }

                isInIndirect = true;
                table = gpa;
                tableCount = length / DescriptorBytes;
                next = 0;
                visited = uint.MaxValue; // wraps to 0: counting starts again in the new table
                continue;
            }

            if (length == 0 || !_ram.TryGetOffset(gpa, length, out _)
                || !chain.TryAdd(gpa, length, (flags & IsWritable) != 0))
            {
                return false;
            }

            if ((flags & HasNext) == 0)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Asks the driver for a notification of the next chain. True: one came meanwhile, look again.</summary>
    /// <param name="leftCount">Chains that were seen and put back: more than these are waited for.</param>
    public bool AskForKick(int leftCount = 0)
    {
        ushort awaited = (ushort)(_nextAvailable + leftCount);
        if (_negotiation.Has(VirtioFeature.RingEventIndex))
        {
            Span<byte> bytes = stackalloc byte[sizeof(ushort)];
            BinaryPrimitives.WriteUInt16LittleEndian(bytes, awaited);
            if (!_ram.TryWrite(_used + RingOffset + ((ulong)_size * UsedElementBytes), bytes))
            {
                return false;
            }
        }

        // Our event must be visible before the index is read; pairs with the driver's barrier before it reads the
        // event.
        Interlocked.MemoryBarrier();
        return _ram.TryReadU16(_available + IndexOffset, out ushort index) && index != awaited;
    }

    /// <summary>Gives a chain back to the driver. False when the ring is broken.</summary>
    /// <param name="head">First descriptor of the chain.</param>
    /// <param name="writtenBytes">How many of its writable bytes, from the first, hold something now.</param>
    public bool TryPush(ushort head, uint writtenBytes) => TryFill(0, head, writtenBytes) && TryShow(1);

    /// <summary>Writes an entry of the used ring that the driver does not see yet. False: the ring is broken.</summary>
    /// <param name="index">Which one of those that <see cref="TryShow"/> shows together, from 0.</param>
    /// <param name="head">First descriptor of the chain.</param>
    /// <param name="writtenBytes">How many of its writable bytes, from the first, hold something now.</param>
    public bool TryFill(int index, ushort head, uint writtenBytes)
    {
        Span<byte> element = stackalloc byte[UsedElementBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(element, head);
        BinaryPrimitives.WriteUInt32LittleEndian(element[4..], writtenBytes);
        int place = (_nextUsed + index) & (_size - 1);
        return _ram.TryWrite(_used + RingOffset + ((ulong)place * UsedElementBytes), element);
    }

    /// <summary>Gives the chains of the next entries of the used ring back to the driver, all at once.</summary>
    public bool TryShow(int count)
    {
        _nextUsed += (ushort)count;

        // The elements must be visible before the index that covers them; pairs with the driver's load barrier.
        Interlocked.MemoryBarrier();
        Span<byte> index = stackalloc byte[sizeof(ushort)];
        BinaryPrimitives.WriteUInt16LittleEndian(index, _nextUsed);
        return _ram.TryWrite(_used + IndexOffset, index);
    }

    /// <summary>
    /// Whether the driver wants an interrupt for what was pushed since the last one. Spec: 2.7.7 and 2.7.10.
    /// </summary>
    public bool TakeInterrupt()
    {
        // The used index must be visible before the driver's wish is read; pairs with the driver's barrier between
        // writing its wish and reading the used index.
        Interlocked.MemoryBarrier();
        if (!_negotiation.Has(VirtioFeature.RingEventIndex))
        {
            return _ram.TryReadU16(_available, out ushort flags) && (flags & NoInterrupt) == 0;
        }

        ushort before = _signalledUsed;
        bool isFirst = !_hasSignalled;
        _signalledUsed = _nextUsed;
        _hasSignalled = true;
        return _ram.TryReadU16(_available + RingOffset + ((ulong)_size * sizeof(ushort)), out ushort wanted)
            && (isFirst || (ushort)(_nextUsed - wanted - 1) < (ushort)(_nextUsed - before));
    }

    /// <summary>Moves the queue through its device's section.</summary>
    /// <exception cref="StateFormatException">A size that the queue can't have.</exception>
    public void Transfer(ref StateCodec state)
    {
        state.U16(ref _size);
        state.U16(ref _vector);
        state.Bool(ref _isEnabled);
        state.U64(ref _descriptors);
        state.U64(ref _available);
        state.U64(ref _used);
        state.U16(ref _nextAvailable);
        state.U16(ref _nextUsed);
        state.U16(ref _signalledUsed);
        state.Bool(ref _hasSignalled);
        if (_size == 0 || _size > _sizeMax || (_size & (_size - 1)) != 0)
        {
            throw new StateFormatException($"virtqueue of size {_size}, allowed are powers of two up to {_sizeMax}");
        }
    }

    private bool IsIndirectTable(ulong gpa, uint lengthBytes)
        => lengthBytes != 0 && lengthBytes % DescriptorBytes == 0
            && lengthBytes / DescriptorBytes <= VirtqueueChain.SegmentsMax
            && _ram.TryGetOffset(gpa, lengthBytes, out _);
}
