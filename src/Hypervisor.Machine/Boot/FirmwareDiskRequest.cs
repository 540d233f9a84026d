using System;
using Hypervisor.Backends.Block;
using Hypervisor.Devices;

namespace Hypervisor.Machine.Boot;

/// <summary>The one disk request that the firmware has in flight, and its bounce buffer.</summary>
/// <remarks>
/// Not part of a checkpoint: while it works the guest waits in the stub and asks again, so after a takeover the same
/// call simply starts the same request anew. Used with the bus lock held; completion arrives through the event loop.
/// </remarks>
internal sealed class FirmwareDiskRequest : IPostedWork
{
    /// <summary>Sectors that one call may move: what a 64 KiB segment and an 8-bit count can ask for.</summary>
    public const int SectorsMax = 255;

    /// <summary>Bytes of a sector.</summary>
    public const int SectorBytes = 512;

    private readonly IEventLoop _eventLoop;
    private readonly BlockRequest _request;
    private readonly byte[] _buffer = new byte[SectorsMax * SectorBytes];
    private IBlockDevice? _device;
    private long _startSector;
    private int _sectorCount;
    private BlockOperation _operation;
    private bool _isRunning;
    private bool _isDone;

    /// <summary>An idle request.</summary>
    public FirmwareDiskRequest(IEventLoop eventLoop)
    {
        _eventLoop = eventLoop;
        _request = new BlockRequest(_ => _eventLoop.Post(this));
    }

    /// <summary>The data read, or to be written.</summary>
    public Span<byte> Data => _buffer.AsSpan(0, _sectorCount * SectorBytes);

    /// <summary>How it ended.</summary>
    public BlockStatus Status => _request.Status;

    /// <summary>
    /// Starts the request, or looks after it when it is the one in flight. True once it has ended; the next call
    /// starts a new one. False: ask again.
    /// </summary>
    /// <param name="device">Drive.</param>
    /// <param name="operation">Read or write.</param>
    /// <param name="startSector">First sector, inside the drive.</param>
    /// <param name="sectorCount">1 to <see cref="SectorsMax"/>.</param>
    /// <param name="fill">Fills the buffer of a write, when it starts..</param>
    public bool TryFinish(
        IBlockDevice device, BlockOperation operation, long startSector, int sectorCount, Action<byte[]>? fill)
    {
        if (_isRunning)
        {
            return false;
        }

        bool isSame = _device == device && _operation == operation
            && _startSector == startSector && _sectorCount == sectorCount;
        if (_isDone && isSame)
        {
            _isDone = false;
            return true;
        }

        _isDone = false;
        _isRunning = true;
        (_device, _operation, _startSector, _sectorCount) = (device, operation, startSector, sectorCount);
        fill?.Invoke(_buffer);
        _request.Operation = operation;
        _request.OffsetBytes = startSector * SectorBytes;
        _request.LengthBytes = (long)sectorCount * SectorBytes;
        _request.Buffer = _buffer.AsMemory(0, sectorCount * SectorBytes);
        device.Submit(_request);
        return false;
    }

    /// <summary>Makes the result of a request in flight, or not yet asked for, belong to nobody.</summary>
    public void Forget()
    {
        _isDone = false;
        _device = null;
    }

    /// <inheritdoc/>
    public void RunPosted()
    {
        _isRunning = false;
        _isDone = true;
    }
}
