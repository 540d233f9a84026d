using System;
using Hypervisor.Core.Memory;

namespace Hypervisor.Devices.Virtio;

/// <summary>
/// A descriptor chain, read once and checked: parts that the device reads, then parts that it writes.
/// </summary>
/// <remarks>Reusable. Grows to <see cref="SegmentsMax"/> at most, and keeps what it grew.</remarks>
public sealed class VirtqueueChain
{
    /// <summary>Longest chain that a device takes, indirect tables included; QEMU's limit.</summary>
    public const int SegmentsMax = 1024;

    private const int SegmentsAtFirst = 16;

    private Segment[] _segments = new Segment[SegmentsAtFirst];
    private int _count;
    private int _readableCount;

    /// <summary>Index of the first descriptor; names the chain in the used ring.</summary>
    public ushort Head { get; private set; }

    /// <summary>Bytes that the device may read.</summary>
    public long ReadableBytes { get; private set; }

    /// <summary>Bytes that the device may write.</summary>
    public long WritableBytes { get; private set; }

    /// <summary>
    /// Copies readable bytes out, from <paramref name="skipBytes"/> on. False when there are not enough.
    /// </summary>
    public bool TryRead(GuestRam ram, long skipBytes, Span<byte> target)
    {
        for (int i = 0; i < _readableCount && !target.IsEmpty; i++)
        {
            Segment segment = _segments[i];
            if (skipBytes >= segment.LengthBytes)
            {
                skipBytes -= segment.LengthBytes;
                continue;
            }

            int count = (int)Math.Min(target.Length, segment.LengthBytes - skipBytes);
            if (!ram.TryRead(segment.Gpa + (ulong)skipBytes, target[..count]))
            {
                return false;
            }

            target = target[count..];
            skipBytes = 0;
        }

        return target.IsEmpty;
    }

    /// <summary>
    /// Stores into the writable bytes, from <paramref name="skipBytes"/> on. False when there are not enough.
    /// </summary>
    public bool TryWrite(GuestRam ram, long skipBytes, ReadOnlySpan<byte> source)
    {
        for (int i = _readableCount; i < _count && !source.IsEmpty; i++)
        {
            Segment segment = _segments[i];
            if (skipBytes >= segment.LengthBytes)
            {
                skipBytes -= segment.LengthBytes;
                continue;
            }

            int count = (int)Math.Min(source.Length, segment.LengthBytes - skipBytes);
            if (!ram.TryWrite(segment.Gpa + (ulong)skipBytes, source[..count]))
            {
                return false;
            }

            source = source[count..];
            skipBytes = 0;
        }

        return source.IsEmpty;
    }

    /// <summary>The piece of writable memory that begins so many bytes into the writable ones.</summary>
    /// <param name="skipBytes">From where, counted over all writable descriptors.</param>
    /// <param name="gpa">Its address.</param>
    /// <param name="lengthBytes">Its length, to the end of its descriptor.</param>
    /// <returns>False behind the last one.</returns>
    public bool TryGetWritable(long skipBytes, out ulong gpa, out long lengthBytes)
    {
        for (int i = _readableCount; i < _count; i++)
        {
            Segment segment = _segments[i];
            if (skipBytes < segment.LengthBytes)
            {
                gpa = segment.Gpa + (ulong)skipBytes;
                lengthBytes = segment.LengthBytes - skipBytes;
                return true;
            }

            skipBytes -= segment.LengthBytes;
        }

        gpa = 0;
        lengthBytes = 0;
        return false;
    }

    internal void Begin(ushort head)
    {
        Head = head;
        _count = 0;
        _readableCount = 0;
        ReadableBytes = 0;
        WritableBytes = 0;
    }

    /// <summary>Adds a descriptor's buffer. False: one too many, or a readable one behind a writable one.</summary>
    internal bool TryAdd(ulong gpa, uint lengthBytes, bool isWritable)
    {
        if (_count == SegmentsMax || (!isWritable && _readableCount != _count))
        {
            return false;
        }

        if (_count == _segments.Length)
        {
            Array.Resize(ref _segments, _count * 2);
        }

        _segments[_count++] = new Segment(gpa, lengthBytes);
        if (isWritable)
        {
            WritableBytes += lengthBytes;
        }
        else
        {
            _readableCount = _count;
            ReadableBytes += lengthBytes;
        }

        return true;
    }

    private readonly record struct Segment(ulong Gpa, uint LengthBytes);
}
