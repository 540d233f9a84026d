using System;
using System.IO;
using System.Threading;
using Hypervisor.Backends.Block.Images;
using Hypervisor.Core.Host;
using Microsoft.Win32.SafeHandles;

namespace Hypervisor.Backends.Block.Filters;

/// <summary>
/// Keeps writes in a nameless temporary file and leaves the device below as it was (QEMU's -snapshot).
/// </summary>
/// <remarks>
/// One bit per sector says which of the two holds it. Bit maps come in chunks of 32 MiB of disk, allocated when the
/// first sector in a chunk is written. Requests of whole sectors only.
/// </remarks>
public sealed class SnapshotOverlay : BlockFilter
{
    private const int SectorBytes = RawImage.SectorBytes;
    private const int ChunkSectors = 64 * 1024;
    private const int ZeroChunkBytes = 64 * 1024;

    private static readonly byte[] s_zeroes = new byte[ZeroChunkBytes];

    private readonly SafeFileHandle _file;
    private readonly ulong[]?[] _written;
    private readonly Lock _writtenLock = new(); // protects _written; nothing is called out under it
    private readonly BlockingBlockDevice[] _below = new BlockingBlockDevice[ImageWorkers.ThreadCount];
    private readonly ImageWorkers _workers;
    private readonly Action<string> _report;
    private int _hasFailed;

    /// <summary>Lays an empty overlay over <paramref name="inner"/>, which it owns from now on.</summary>
    /// <exception cref="BlockImageException">No place for the temporary file.</exception>
    public SnapshotOverlay(IBlockDevice inner, Action<string> report)
        : base(inner)
    {
        _report = report;
        _file = CreateTemporaryFile();
        long chunkBytes = (long)ChunkSectors * SectorBytes;
        _written = new ulong[]?[(inner.LengthBytes + chunkBytes - 1) / chunkBytes];
        for (int i = 0; i < _below.Length; i++)
        {
            _below[i] = new BlockingBlockDevice(inner);
        }

        _workers = new ImageWorkers("overlay", SectorBytes, Perform);
    }

    /// <inheritdoc/>
    public override bool IsReadOnly => false;

    /// <inheritdoc/>
    public override bool CanResize => false;

    /// <inheritdoc/>
    public override void Submit(BlockRequest request)
    {
        long length = request.LengthBytes;
        if (request.Operation == BlockOperation.Flush)
        {
            request.Complete(BlockStatus.Ok); // what is thrown away at the end need not survive a power loss
        }
        else if (request.Operation == BlockOperation.Resize)
        {
            request.Complete(BlockStatus.Unsupported);
        }
        else if (length < 0 || length > LengthBytes
            || request.OffsetBytes < 0 || request.OffsetBytes > LengthBytes - length)
        {
            request.Complete(BlockStatus.OutOfRange);
        }
        else if ((request.OffsetBytes | length) % SectorBytes != 0)
        {
            request.Complete(BlockStatus.Unsupported);
        }
        else
        {
            _workers.Submit(request);
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _workers.Dispose();
        foreach (BlockingBlockDevice below in _below)
        {
            below.Dispose();
        }

        _file.Dispose();
        base.Dispose();
        GC.SuppressFinalize(this);
    }

    private static SafeFileHandle CreateTemporaryFile()
    {
        string path = Path.Combine(Path.GetTempPath(), $"hv-snapshot-{Guid.NewGuid():N}");
        try
        {
            // Deleted at once: the open handle keeps it, and not even a crash leaves it behind.
            SafeFileHandle file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Delete);
            File.Delete(path);
            return file;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BlockImageException($"{path}: cannot create the snapshot's temporary file: {e.Message}");
        }
    }

    private BlockStatus Perform(BlockRequest request, int worker)
    {
        try
        {
            switch (request.Operation)
            {
                case BlockOperation.Read:
                    return Read(request.OffsetBytes, request.Buffer[..(int)request.LengthBytes], worker);
                case BlockOperation.Write:
                    RandomAccess.Write(_file, request.Buffer.Span[..(int)request.LengthBytes], request.OffsetBytes);
                    Mark(request.OffsetBytes / SectorBytes, request.LengthBytes / SectorBytes);
                    return BlockStatus.Ok;
                case BlockOperation.WriteZeroes:
                    WriteZeroes(request.OffsetBytes, request.LengthBytes);
                    return BlockStatus.Ok;
                case BlockOperation.Discard:
                    return BlockStatus.Ok;
                case BlockOperation.Flush:
                case BlockOperation.Resize:
                default:
                    return BlockStatus.Unsupported;
            }
        }
        catch (Exception e) when (e is IOException or HostException)
        {
            if (Interlocked.Exchange(ref _hasFailed, 1) == 0) // several workers may fail at once
            {
                _report($"snapshot overlay: {request.Operation} at {request.OffsetBytes}: {e.Message}");
            }

            return BlockStatus.IoError;
        }
    }

    private BlockStatus Read(long offset, Memory<byte> target, int worker)
    {
        while (!target.IsEmpty)
        {
            int sectorsMax = target.Length / SectorBytes;
            int count = RunOfOneKind(offset / SectorBytes, sectorsMax, out bool isWritten) * SectorBytes;
            if (isWritten)
            {
                ReadOverlay(offset, target.Span[..count]);
            }
            else
            {
                BlockStatus status = _below[worker].Read(offset, target[..count]);
                if (status != BlockStatus.Ok)
                {
                    return status;
                }
            }

            target = target[count..];
            offset += count;
        }

        return BlockStatus.Ok;
    }

    private void ReadOverlay(long offset, Span<byte> target)
    {
        while (!target.IsEmpty)
        {
            int count = RandomAccess.Read(_file, target, offset);
            if (count == 0)
            {
                target.Clear(); // zeroed beyond the file's end by a write-zeroes
                return;
            }

            target = target[count..];
            offset += count;
        }
    }

    private void WriteZeroes(long offset, long length)
    {
        if (length != 0 && !HostFile.TryPunchHole(_file, offset, length))
        {
            for (long done = 0; done < length; done += ZeroChunkBytes)
            {
                int count = (int)Math.Min(ZeroChunkBytes, length - done);
                RandomAccess.Write(_file, s_zeroes.AsSpan(0, count), offset + done);
            }
        }

        Mark(offset / SectorBytes, length / SectorBytes);
    }

    private void Mark(long sector, long count)
    {
        lock (_writtenLock)
        {
            for (long end = sector + count; sector < end; sector++)
            {
                ulong[] chunk = _written[sector / ChunkSectors] ??= new ulong[ChunkSectors / 64];
                chunk[sector % ChunkSectors / 64] |= 1UL << (int)(sector % 64);
            }
        }
    }

    private int RunOfOneKind(long sector, int countMax, out bool isWritten)
    {
        lock (_writtenLock)
        {
            isWritten = IsWritten(sector);
            int count = 1;
            while (count < countMax && IsWritten(sector + count) == isWritten)
            {
                count++;
            }

            return count;
        }
    }

    private bool IsWritten(long sector)
        => _written[sector / ChunkSectors] is { } chunk
            && ((chunk[sector % ChunkSectors / 64] >> (int)(sector % 64)) & 1) != 0;
}
