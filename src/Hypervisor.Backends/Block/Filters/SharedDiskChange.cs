using System;

namespace Hypervisor.Backends.Block.Filters;

/// <summary>A write, discard, write-zeroes or flush that waits in a <see cref="SharedDisk"/>.</summary>
internal sealed class SharedDiskChange(long number, BlockRequest request, BlockRequest? flush)
{
    private readonly long _offset = request.OffsetBytes;
    private readonly long _length = request.LengthBytes;

    /// <summary>Its place among all that ever came.</summary>
    public long Number => number;

    /// <summary>The guest's request, when it is a flush.</summary>
    public BlockRequest? Flush => flush;

    /// <summary>Whether it was sent to the disk, which has not answered yet.</summary>
    public bool IsOnItsWay { get; set; }

    /// <summary>What it does.</summary>
    public BlockOperation Operation { get; } = request.Operation;

    /// <summary>The bytes of a write: the guest's buffer is its own again.</summary>
    public byte[] Data { get; } = request.Operation == BlockOperation.Write ? request.Buffer.ToArray() : [];

    /// <summary>Whether a read of the range has to see it.</summary>
    public bool Overlaps(long offset, long length)
        => flush is null && Operation != BlockOperation.Discard // a discarded range reads as anything
            && _offset < offset + length && offset < _offset + _length;

    /// <summary>It, as a request to the image.</summary>
    public BlockRequest ToRequest(Action<BlockRequest> onDone) => new(onDone)
    {
        Operation = Operation,
        OffsetBytes = _offset,
        LengthBytes = _length,
        Buffer = Data,
    };

    /// <summary>Does it to bytes that were read from <paramref name="offset"/> on.</summary>
    public void CopyTo(Span<byte> target, long offset)
    {
        long first = Math.Max(offset, _offset);
        int length = (int)(Math.Min(offset + target.Length, _offset + _length) - first);
        Span<byte> part = target.Slice((int)(first - offset), length);
        if (Operation == BlockOperation.Write)
        {
            Data.AsSpan((int)(first - _offset), length).CopyTo(part);
        }
        else
        {
            part.Clear();
        }
    }
}
