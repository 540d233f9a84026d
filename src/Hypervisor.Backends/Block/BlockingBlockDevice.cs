using System;
using System.Threading;

namespace Hypervisor.Backends.Block;

/// <summary>Waits for each request: for boot code and tools. One thread at a time; does not own the device.</summary>
public sealed class BlockingBlockDevice : IDisposable
{
    private readonly IBlockDevice _device;
    private readonly SemaphoreSlim _completed = new(0);
    private readonly BlockRequest _request;

    /// <summary>Wraps <paramref name="device"/>.</summary>
    public BlockingBlockDevice(IBlockDevice device)
    {
        _device = device;
        _request = new BlockRequest(_ => _completed.Release());
    }

    /// <summary>Size in bytes.</summary>
    public long LengthBytes => _device.LengthBytes;

    /// <summary>Fills <paramref name="target"/> from the device.</summary>
    public BlockStatus Read(long offsetBytes, Memory<byte> target)
        => Run(BlockOperation.Read, offsetBytes, target.Length, target);

    /// <summary>Stores <paramref name="source"/>; the memory must not change until this returns.</summary>
    public BlockStatus Write(long offsetBytes, Memory<byte> source)
        => Run(BlockOperation.Write, offsetBytes, source.Length, source);

    /// <summary>Makes earlier writes durable.</summary>
    public BlockStatus Flush() => Run(BlockOperation.Flush, 0, 0, default);

    /// <summary>Gives up a range.</summary>
    public BlockStatus Discard(long offsetBytes, long lengthBytes)
        => Run(BlockOperation.Discard, offsetBytes, lengthBytes, default);

    /// <summary>Zeroes a range.</summary>
    public BlockStatus WriteZeroes(long offsetBytes, long lengthBytes)
        => Run(BlockOperation.WriteZeroes, offsetBytes, lengthBytes, default);

    /// <inheritdoc/>
    public void Dispose() => _completed.Dispose();

    private BlockStatus Run(BlockOperation operation, long offsetBytes, long lengthBytes, Memory<byte> buffer)
    {
        _request.Operation = operation;
        _request.OffsetBytes = offsetBytes;
        _request.LengthBytes = lengthBytes;
        _request.Buffer = buffer;
        _device.Submit(_request);
        _completed.Wait();
        return _request.Status;
    }
}
