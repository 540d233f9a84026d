using System;
using System.Collections.Generic;
using Hypervisor.Backends.Block;
using Hypervisor.Core;

namespace Hypervisor.TestKit;

/// <summary>
/// A disk in memory whose requests end when the test says so, in any order that the contract allows, and that can
/// fail requests or lose power. A write takes effect when it completes and is durable after a later flush.
/// </summary>
public sealed class SimDisk(long lengthBytes) : IBlockDevice
{
    private const int SectorBytes = 512;

    private readonly List<BlockRequest> _pending = [];
    private byte[] _durable = new byte[lengthBytes];

    /// <inheritdoc/>
    public long LengthBytes => Data.Length;

    /// <inheritdoc/>
    public bool IsReadOnly { get; init; }

    /// <inheritdoc/>
    public bool CanResize { get; init; } = true;

    /// <summary>Whether a request ends inside <see cref="Submit"/>.</summary>
    public bool IsImmediate { get; set; }

    /// <summary>What a read returns now.</summary>
    public byte[] Data { get; private set; } = new byte[lengthBytes];

    /// <summary>What a power loss leaves in any case.</summary>
    public ReadOnlySpan<byte> Durable => _durable;

    /// <summary>Requests that wait for the test, in submission order.</summary>
    public IReadOnlyList<BlockRequest> Pending => _pending;

    /// <summary>Every request so far, in submission order.</summary>
    public List<(BlockOperation Operation, long OffsetBytes, long LengthBytes)> Log { get; } = [];

    /// <summary>Status of the next requests that complete, in that order; empty: they succeed.</summary>
    public Queue<BlockStatus> NextStatuses { get; } = new();

    /// <summary>Whether somebody disposed it.</summary>
    public bool IsDisposed { get; private set; }

    /// <inheritdoc/>
    public void Submit(BlockRequest request)
    {
        Check.That(!IsDisposed);
        Log.Add((request.Operation, request.OffsetBytes, request.LengthBytes));
        _pending.Add(request);
        if (IsImmediate)
        {
            Complete(_pending.Count - 1);
        }
    }

    /// <summary>Ends one pending request; refuses to let overlapping requests change places.</summary>
    public void Complete(int index)
    {
        BlockRequest request = _pending[index];
        for (int i = 0; i < index; i++)
        {
            Check.That(!Conflict(_pending[i], request));
        }

        _pending.RemoveAt(index);
        BlockStatus status = NextStatuses.TryDequeue(out BlockStatus chosen) ? chosen : Perform(request);
        request.Complete(status);
    }

    /// <summary>Ends all pending requests in submission order, and those that are submitted meanwhile.</summary>
    public void CompleteAll()
    {
        while (_pending.Count != 0)
        {
            Complete(0);
        }
    }

    /// <summary>
    /// Forgets the pending requests (they never complete) and, of what is not durable, each 512-byte sector that
    /// <paramref name="survives"/> does not name.
    /// </summary>
    public void LosePower(Func<long, bool> survives)
    {
        _pending.Clear();
        for (long offset = 0; offset < Data.Length; offset += SectorBytes)
        {
            if (survives(offset / SectorBytes))
            {
                Data.AsSpan((int)offset, SectorBytes).CopyTo(_durable.AsSpan((int)offset));
            }
        }

        Data = (byte[])_durable.Clone();
    }

    /// <summary>Gives the disk another size; what is kept stays.</summary>
    public void Resize(long newLengthBytes)
    {
        byte[] data = Data;
        Array.Resize(ref data, (int)newLengthBytes);
        Array.Resize(ref _durable, (int)newLengthBytes);
        Data = data;
    }

    /// <inheritdoc/>
    public void Dispose() => IsDisposed = true;

    private static bool Conflict(BlockRequest a, BlockRequest b)
        => (IsChange(a) || IsChange(b))
            && a.OffsetBytes < b.OffsetBytes + b.LengthBytes && b.OffsetBytes < a.OffsetBytes + a.LengthBytes;

    private static bool IsChange(BlockRequest request)
        => request.Operation is not (BlockOperation.Read or BlockOperation.Flush);

    private BlockStatus Perform(BlockRequest request)
    {
        if (request.Operation == BlockOperation.Flush)
        {
            Data.CopyTo(_durable, 0);
            return BlockStatus.Ok;
        }

        if (request.Operation == BlockOperation.Resize)
        {
            Resize(request.LengthBytes);
            return CanResize ? BlockStatus.Ok : BlockStatus.Unsupported;
        }

        if (request.OffsetBytes < 0 || request.LengthBytes < 0 || request.LengthBytes > LengthBytes
            || request.OffsetBytes > LengthBytes - request.LengthBytes)
        {
            return BlockStatus.OutOfRange;
        }

        if (IsReadOnly && IsChange(request))
        {
            return BlockStatus.ReadOnly;
        }

        Span<byte> range = Data.AsSpan((int)request.OffsetBytes, (int)request.LengthBytes);
        switch (request.Operation)
        {
            case BlockOperation.Read:
                range.CopyTo(request.Buffer.Span);
                break;
            case BlockOperation.Write:
                request.Buffer.Span[..range.Length].CopyTo(range);
                break;
            default:
                range.Clear(); // a discarded range may read as anything; zero is the likeliest
                break;
        }

        return BlockStatus.Ok;
    }
}
