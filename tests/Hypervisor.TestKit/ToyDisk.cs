using System;
using System.Collections.Concurrent;
using System.Threading;
using Hypervisor.Backends.Block;

namespace Hypervisor.TestKit;

/// <summary>A disk in memory that serves one request after the other on its own thread.</summary>
public sealed class ToyDisk : IBlockDevice
{
    private readonly byte[] _bytes;
    private readonly BlockingCollection<BlockRequest> _requests = [];
    private readonly Thread _thread;

    public ToyDisk(int lengthBytes)
    {
        _bytes = new byte[lengthBytes];
        _thread = new Thread(Serve) { IsBackground = true };
        _thread.Start();
    }

    /// <summary>When not <see cref="BlockStatus.Ok"/>, reads end with it.</summary>
    public BlockStatus ReadStatus { get; set; }

    /// <summary>When not <see cref="BlockStatus.Ok"/>, writes end with it and change nothing.</summary>
    public BlockStatus WriteStatus { get; set; }

    /// <summary>Called at each flush, on the disk's thread.</summary>
    public Action OnFlush { get; set; } = static () => { };

    public long LengthBytes => _bytes.Length;

    public bool IsReadOnly => false;

    /// <summary>The content; look only while nothing is in flight.</summary>
    public ReadOnlySpan<byte> Content => _bytes;

    /// <summary>Sets the content; only while nothing is in flight.</summary>
    public void Fill(ReadOnlySpan<byte> bytes) => bytes.CopyTo(_bytes);

    /// <summary>A bit changes by itself.</summary>
    public void Decay(int offset) => _bytes[offset] ^= 1;

    public void Submit(BlockRequest request)
    {
        if (request.OffsetBytes < 0 || request.LengthBytes > LengthBytes - request.OffsetBytes)
        {
            request.Complete(BlockStatus.OutOfRange);
            return;
        }

        _requests.Add(request);
    }

    public void Dispose()
    {
        if (_thread.IsAlive)
        {
            _requests.CompleteAdding();
            _thread.Join();
            _requests.Dispose();
        }
    }

    private void Serve()
    {
        foreach (BlockRequest request in _requests.GetConsumingEnumerable())
        {
            request.Complete(Do(request));
        }
    }

    private BlockStatus Do(BlockRequest request)
    {
        int offset = (int)request.OffsetBytes;
        int length = (int)request.LengthBytes;
        switch (request.Operation)
        {
            case BlockOperation.Read when ReadStatus != BlockStatus.Ok:
                return ReadStatus;
            case BlockOperation.Read:
                _bytes.AsSpan(offset, length).CopyTo(request.Buffer.Span);
                break;
            case BlockOperation.Write when WriteStatus == BlockStatus.Ok:
                request.Buffer.Span.CopyTo(_bytes.AsSpan(offset, length));
                break;
            case BlockOperation.Write:
                return WriteStatus;
            case BlockOperation.WriteZeroes or BlockOperation.Discard:
                _bytes.AsSpan(offset, length).Clear();
                break;
            case BlockOperation.Flush:
                OnFlush();
                break;
            default:
                return BlockStatus.Unsupported;
        }

        return BlockStatus.Ok;
    }
}
