using System;
using System.IO;
using System.Security.Cryptography;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <summary>A block device as the standby's worker uses it: one request at a time, waited for.</summary>
internal sealed class StandbyDisk : IStandbyDisk, IDisposable
{
    /// <summary>The most that is read at once: whole blocks of 4 KiB.</summary>
    public const int PieceBytes = DiskDigestMessage.RangeBytesMax;

    private readonly IBlockDevice _device;
    private readonly byte[] _piece = new byte[PieceBytes];
    private readonly ManualResetEventSlim _done = new();
    private readonly BlockRequest _request;

    /// <summary>Takes the device over until the standby goes live.</summary>
    public StandbyDisk(string id, IBlockDevice device)
    {
        Id = id;
        _device = device;
        _request = new BlockRequest(_ => _done.Set());
    }

    /// <summary>Its name.</summary>
    public string Id { get; }

    /// <inheritdoc/>
    public long LengthBytes => _device.LengthBytes;

    /// <summary>Finds out, before an epoch is acknowledged, whether its disk can be resized at all.</summary>
    /// <exception cref="IOException">It cannot.</exception>
    public void CheckResize(long lengthBytes)
    {
        if (!_device.CanResize)
        {
            throw Failure(BlockOperation.Resize, 0, lengthBytes, BlockStatus.Unsupported);
        }
    }

    /// <inheritdoc/>
    public void Resize(long lengthBytes) => Run(BlockOperation.Resize, 0, lengthBytes, default);

    /// <inheritdoc/>
    public void Write(long offsetBytes, ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            int count = Math.Min(data.Length, PieceBytes);
            data[..count].CopyTo(_piece);
            Run(BlockOperation.Write, offsetBytes, count, _piece.AsMemory(0, count));
            offsetBytes += count;
            data = data[count..];
        }
    }

    /// <inheritdoc/>
    public void WriteZeroes(long offsetBytes, long lengthBytes)
    {
        if (TryRun(BlockOperation.WriteZeroes, offsetBytes, lengthBytes, default) == BlockStatus.Ok)
        {
            return;
        }

        // An image that cannot: zeroes are bytes like any others.
        Array.Clear(_piece);
        for (long at = 0; at < lengthBytes; at += PieceBytes)
        {
            int count = (int)Math.Min(PieceBytes, lengthBytes - at);
            Run(BlockOperation.Write, offsetBytes + at, count, _piece.AsMemory(0, count));
        }
    }

    /// <inheritdoc/>
    public void Discard(long offsetBytes, long lengthBytes)
    {
        BlockStatus status = TryRun(BlockOperation.Discard, offsetBytes, lengthBytes, default);
        if (status is not (BlockStatus.Ok or BlockStatus.Unsupported)) // keeping the bytes is as good as giving them up
        {
            throw Failure(BlockOperation.Discard, offsetBytes, lengthBytes, status);
        }
    }

    /// <summary>SHA-256 of a range of at most <see cref="DiskDigestMessage.RangeBytesMax"/>.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    public void Digest(long offsetBytes, int lengthBytes, Span<byte> digest)
    {
        _ = SHA256.HashData(Read(offsetBytes, lengthBytes), digest);
    }

    /// <summary>
    /// Reads at most <see cref="PieceBytes"/>; what is returned holds until the next call of anything here.
    /// </summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    public ReadOnlySpan<byte> Read(long offsetBytes, int lengthBytes)
    {
        Run(BlockOperation.Read, offsetBytes, lengthBytes, _piece.AsMemory(0, lengthBytes));
        return _piece.AsSpan(0, lengthBytes);
    }

    /// <inheritdoc/>
    public void Flush() => Run(BlockOperation.Flush, 0, 0, default);

    /// <inheritdoc/>
    public void Dispose() => _done.Dispose();

    private void Run(BlockOperation operation, long offsetBytes, long lengthBytes, Memory<byte> buffer)
    {
        BlockStatus status = TryRun(operation, offsetBytes, lengthBytes, buffer);
        if (status != BlockStatus.Ok)
        {
            throw Failure(operation, offsetBytes, lengthBytes, status);
        }
    }

    private BlockStatus TryRun(BlockOperation operation, long offsetBytes, long lengthBytes, Memory<byte> buffer)
    {
        _request.Operation = operation;
        _request.OffsetBytes = offsetBytes;
        _request.LengthBytes = lengthBytes;
        _request.Buffer = buffer;
        _done.Reset();
        _device.Submit(_request);
        _done.Wait();
        return _request.Status;
    }

    private IOException Failure(BlockOperation operation, long offsetBytes, long lengthBytes, BlockStatus status)
        => new($"disk {Id}: {operation} of bytes {offsetBytes} + {lengthBytes} ended with {status}");
}
