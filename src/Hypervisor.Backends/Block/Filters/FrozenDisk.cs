using System;
using System.Collections.Generic;
using System.Threading;

namespace Hypervisor.Backends.Block.Filters;

/// <summary>
/// A disk as it was at one moment, for somebody who may also write to it; nothing of that reaches the disk.
/// </summary>
/// <remarks>
/// One <see cref="SnapshotOverlay"/> holds both, what was written here and what the disk's own changes would have
/// overwritten: preserving is reading through the overlay and writing that to it, while no other request is under way.
/// It is expendable: what cannot be preserved breaks this disk, never the one below.
/// </remarks>
public sealed class FrozenDisk : IBlockDevice
{
    private const int PieceBytes = 1 << 20;
    private const long PreserveBytesMax = 64 << 20; // of one request: a discard of a whole disk must not hold it up

    private readonly SnapshotOverlay _overlay;
    private readonly BlockingBlockDevice _blocking;
    private readonly byte[] _piece = new byte[PieceBytes];
    private readonly ManualResetEventSlim _isIdle = new(true);
    private readonly Lock _lock = new(); // protects the fields below
    private readonly Queue<BlockRequest> _waiting = new(); // bounded by the queues of the guest's device
    private int _inFlight;
    private bool _isPreserving;
    private volatile bool _isBroken;

    internal FrozenDisk(FreezableDisk disk)
    {
        _overlay = new SnapshotOverlay(disk, _ => _isBroken = true);
        _blocking = new BlockingBlockDevice(_overlay);
    }

    /// <inheritdoc/>
    public long LengthBytes => _overlay.LengthBytes;

    /// <inheritdoc/>
    public bool IsReadOnly => false;

    /// <summary>Whether something of it is lost: requests fail from then on.</summary>
    public bool IsBroken => _isBroken;

    /// <summary>Gives it up: nothing more is preserved. Any thread, at once.</summary>
    public void Break() => _isBroken = true;

    /// <inheritdoc/>
    public void Submit(BlockRequest request)
    {
        lock (_lock)
        {
            if (_isPreserving)
            {
                _waiting.Enqueue(request);
                return;
            }

            Enter();
        }

        Start(request);
    }

    /// <summary>Keeps a range that the disk below is about to change.</summary>
    internal void Preserve(long offsetBytes, long lengthBytes)
    {
        if (_isBroken || lengthBytes > PreserveBytesMax)
        {
            _isBroken = true;
            return;
        }

        lock (_lock)
        {
            _isPreserving = true;
        }

        _isIdle.Wait();
        for (long done = 0; done < lengthBytes && !_isBroken; done += PieceBytes)
        {
            Memory<byte> piece = _piece.AsMemory(0, (int)Math.Min(PieceBytes, lengthBytes - done));
            bool isKept = _blocking.Read(offsetBytes + done, piece) == BlockStatus.Ok
                && _blocking.Write(offsetBytes + done, piece) == BlockStatus.Ok;
            _isBroken |= !isKept;
        }

        while (TryTakeWaiting(out BlockRequest? request))
        {
            Start(request!);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _isIdle.Wait();
        _blocking.Dispose();
        _overlay.Dispose();
        _isIdle.Dispose();
    }

    private void Enter()
    {
        _inFlight++;
        _isIdle.Reset();
    }

    private bool TryTakeWaiting(out BlockRequest? request)
    {
        lock (_lock)
        {
            _isPreserving = _waiting.TryDequeue(out request); // in the order of their submission, before newer ones
            if (_isPreserving)
            {
                Enter();
            }

            return _isPreserving;
        }
    }

    private void Start(BlockRequest request)
    {
        if (_isBroken)
        {
            Leave();
            request.Complete(BlockStatus.IoError);
            return;
        }

        _overlay.Submit(new BlockRequest(done =>
        {
            Leave();
            request.Complete(done.Status);
        })
        {
            Operation = request.Operation,
            OffsetBytes = request.OffsetBytes,
            LengthBytes = request.LengthBytes,
            Buffer = request.Buffer,
        });
    }

    private void Leave()
    {
        lock (_lock)
        {
            if (--_inFlight == 0)
            {
                _isIdle.Set();
            }
        }
    }
}
