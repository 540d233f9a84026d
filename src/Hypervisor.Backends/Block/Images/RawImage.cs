using System;
using System.IO;
using System.Threading;
using Hypervisor.Core.Host;
using Microsoft.Win32.SafeHandles;

namespace Hypervisor.Backends.Block.Images;

/// <summary>A raw image: byte n of the disk is byte n of a regular file or block device.</summary>
/// <remarks>
/// With O_DIRECT the host wants aligned offsets, lengths and buffers; what does not fit goes through one aligned
/// bounce buffer per worker, and a write that covers an alignment granule in part reads the rest of it first. The
/// overlap gate works on those granules, so two such writes never lose each other's bytes.
/// </remarks>
public sealed class RawImage : IBlockDevice
{
    /// <summary>Image sizes are a multiple of this.</summary>
    public const int SectorBytes = 512;

    private const int BounceBytes = 256 * 1024;
    private const int ZeroChunkBytes = 64 * 1024;

    private static readonly byte[] s_zeroes = new byte[ZeroChunkBytes];

    private readonly string _path;
    private readonly SafeFileHandle _file;
    private readonly int _alignment; // 1 through the page cache
    private readonly Memory<byte>[] _bounceBuffers = [];
    private readonly Action<string> _report;
    private readonly ImageWorkers _workers;
    private readonly bool _isRegularFile;
    private long _lengthBytes; // changed by a resize, with no other request running
    private int _hasFailed; // reported once: a broken disk must not flood the log

    private RawImage(
        string path, SafeFileHandle file, HostFileFacts facts, bool isReadOnly, bool isDirect, Action<string> report)
    {
        _path = path;
        _file = file;
        _report = report;
        _lengthBytes = facts.LengthBytes;
        _isRegularFile = facts.Kind == HostFileKind.Regular;
        IsReadOnly = isReadOnly;
        _alignment = isDirect ? facts.DirectAlignment : 1;
        if (isDirect)
        {
            _bounceBuffers = new Memory<byte>[ImageWorkers.ThreadCount];
            for (int i = 0; i < _bounceBuffers.Length; i++)
            {
                _bounceBuffers[i] = HostFile.AllocateAligned(BounceBytes, _alignment);
            }
        }

        _workers = new ImageWorkers(Path.GetFileName(path), Math.Max(_alignment, 1), Perform);
    }

    /// <inheritdoc/>
    public long LengthBytes => Volatile.Read(ref _lengthBytes); // pairs with Resize, on a worker

    /// <inheritdoc/>
    public bool CanResize => _isRegularFile && !IsReadOnly;

    /// <inheritdoc/>
    public bool IsReadOnly { get; }

    /// <summary>Opens and locks an image.</summary>
    /// <param name="path">File or block device.</param>
    /// <param name="isReadOnly">Refuse writes, and share the image with other readers.</param>
    /// <param name="isDirect">Bypass the host's page cache.</param>
    /// <param name="report">Gets one line when the host fails a request for the first time.</param>
    /// <exception cref="BlockImageException">Missing, unreadable, in use, or of a size that no disk has.</exception>
    public static RawImage Open(string path, bool isReadOnly, bool isDirect, Action<string> report)
        => Open(path, isReadOnly, isDirect, report, isLocked: true);

    /// <summary>Opens an image for writing that another host or process may be writing to: locked later.</summary>
    /// <exception cref="BlockImageException">Missing, unreadable, or of a size that no disk has.</exception>
    public static RawImage OpenUnlocked(string path, bool isDirect, Action<string> report)
        => Open(path, isReadOnly: false, isDirect, report, isLocked: false);

    /// <summary>Takes the writer's lock. False: somebody else uses the image.</summary>
    public bool TryLock()
    {
        try
        {
            ImageLock.Take(_file, _path, isWriter: true);
            return true;
        }
        catch (Exception error) when (error is BlockImageException or HostException)
        {
            Unlock(); // half a lock would keep others out
            return false;
        }
    }

    /// <summary>Gives the lock up; the image stays open.</summary>
    public void Unlock() => ImageLock.Release(_file);

    private static RawImage Open(string path, bool isReadOnly, bool isDirect, Action<string> report, bool isLocked)
    {
        SafeFileHandle? file = null;
        try
        {
            file = HostFile.Open(path, !isReadOnly, isDirect);
            HostFileFacts facts = HostFile.Inspect(file);
            CheckFacts(path, facts, isDirect);
            if (isLocked)
            {
                ImageLock.Take(file, path, !isReadOnly);
            }

            var image = new RawImage(path, file, facts, isReadOnly, isDirect, report);
            file = null;
            return image;
        }
        catch (HostException e)
        {
            string use = isReadOnly ? "for reading" : "for reading and writing";
            throw new BlockImageException($"{path}: cannot open {use}: {e.Message}");
        }
        finally
        {
            file?.Dispose();
        }
    }

    /// <summary>Makes a sparse image of zeroes in a new file, or an empty one; contents are never replaced.</summary>
    /// <exception cref="BlockImageException">No size for a disk, no place, or a file in use or not empty.</exception>
    public static void Create(string path, long lengthBytes)
    {
        CheckLength(path, lengthBytes);
        try
        {
            using SafeFileHandle file = File.OpenHandle(
                path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite);
            ImageLock.Take(file, path, isWriter: true);
            try
            {
                if (RandomAccess.GetLength(file) != 0)
                {
                    throw new BlockImageException($"{path}: the file exists; allowed is a new name, or an empty file");
                }

                RandomAccess.SetLength(file, lengthBytes);
            }
            finally
            {
                ImageLock.Release(file);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or HostException or ArgumentException)
        {
            throw new BlockImageException($"{path}: cannot create an image of {lengthBytes} bytes: {e.Message}");
        }
    }

    /// <inheritdoc/>
    public void Submit(BlockRequest request)
    {
        BlockStatus status = CheckRequest(request);
        if (status == BlockStatus.Ok)
        {
            _workers.Submit(request);
        }
        else
        {
            request.Complete(status);
        }
    }

    /// <summary>Finishes what was submitted, gives up the lock and closes the file.</summary>
    public void Dispose()
    {
        _workers.Dispose();
        if (_file.IsClosed)
        {
            return;
        }

        try
        {
            ImageLock.Release(_file);
        }
        catch (HostException)
        {
            // Where there are no locks, nobody waits for one.
        }

        _file.Dispose();
    }

    private static void CheckFacts(string path, HostFileFacts facts, bool isDirect)
    {
        if (facts.Kind == HostFileKind.Other)
        {
            throw new BlockImageException($"{path}: neither a regular file nor a block device");
        }

        CheckLength(path, facts.LengthBytes);
        if (isDirect && facts.LengthBytes % facts.DirectAlignment != 0)
        {
            throw new BlockImageException(
                $"{path}: size {facts.LengthBytes} is not a multiple of {facts.DirectAlignment}, which cache modes "
                + "none and directsync need here; use writeback or writethrough");
        }
    }

    private static void CheckLength(string path, long lengthBytes)
    {
        if (lengthBytes <= 0 || lengthBytes % SectorBytes != 0)
        {
            throw new BlockImageException(
                $"{path}: size {lengthBytes} is not allowed; it must be a multiple of {SectorBytes} above 0");
        }
    }

    private BlockStatus CheckRequest(BlockRequest request)
    {
        if (request.Operation == BlockOperation.Flush)
        {
            return BlockStatus.Ok;
        }

        if (IsReadOnly && request.Operation != BlockOperation.Read)
        {
            return BlockStatus.ReadOnly;
        }

        if (request.Operation == BlockOperation.Resize)
        {
            int unit = Math.Max(SectorBytes, _alignment);
            bool isSize = request.LengthBytes > 0 && request.LengthBytes % unit == 0 && request.OffsetBytes == 0;
            return !CanResize ? BlockStatus.Unsupported : isSize ? BlockStatus.Ok : BlockStatus.OutOfRange;
        }

        return IsInside(request) ? BlockStatus.Ok : BlockStatus.OutOfRange;
    }

    private bool IsInside(BlockRequest request)
    {
        long length = request.LengthBytes;
        long size = LengthBytes;
        return length >= 0 && length <= size && request.OffsetBytes >= 0 && request.OffsetBytes <= size - length;
    }

    private BlockStatus Perform(BlockRequest request, int worker)
    {
        bool hasRange = request.Operation is not (BlockOperation.Flush or BlockOperation.Resize);
        if (hasRange && !IsInside(request))
        {
            return BlockStatus.OutOfRange; // the image has become smaller since it was submitted
        }

        try
        {
            switch (request.Operation)
            {
                case BlockOperation.Read:
                    return Read(request.Buffer.Span[..(int)request.LengthBytes], request.OffsetBytes, worker);
                case BlockOperation.Write:
                    return Write(request.Buffer.Span[..(int)request.LengthBytes], request.OffsetBytes, worker);
                case BlockOperation.Flush:
                    HostFile.Flush(_file);
                    return BlockStatus.Ok;
                case BlockOperation.Discard:
                    _ = request.LengthBytes == 0
                        || HostFile.TryPunchHole(_file, request.OffsetBytes, request.LengthBytes);
                    return BlockStatus.Ok; // a hint: a file system without holes keeps the bytes
                case BlockOperation.WriteZeroes:
                    return WriteZeroes(request, worker);
                case BlockOperation.Resize:
                    RandomAccess.SetLength(_file, request.LengthBytes);
                    HostFile.Flush(_file); // a size is no data that a later flush of the guest would cover
                    Volatile.Write(ref _lengthBytes, request.LengthBytes); // read on any thread
                    return BlockStatus.Ok;
                default:
                    return BlockStatus.Unsupported;
            }
        }
        catch (Exception e) when (e is IOException or HostException or UnauthorizedAccessException)
        {
            return Fail($"{request.Operation} of {request.LengthBytes} bytes at {request.OffsetBytes}: {e.Message}");
        }
    }

    private BlockStatus Read(Span<byte> target, long offset, int worker)
    {
        if (IsDirectReady(target, offset))
        {
            return ReadFully(target, offset);
        }

        Span<byte> bounce = _bounceBuffers[worker].Span;
        while (!target.IsEmpty)
        {
            int lead = (int)(offset % _alignment);
            int count = Math.Min(target.Length, bounce.Length - lead);
            BlockStatus status = ReadFully(bounce[..RoundUp(lead + count)], offset - lead);
            if (status != BlockStatus.Ok)
            {
                return status;
            }

            bounce.Slice(lead, count).CopyTo(target);
            target = target[count..];
            offset += count;
        }

        return BlockStatus.Ok;
    }

    private BlockStatus Write(ReadOnlySpan<byte> source, long offset, int worker)
    {
        if (IsDirectReady(source, offset))
        {
            RandomAccess.Write(_file, source, offset);
            return BlockStatus.Ok;
        }

        Span<byte> bounce = _bounceBuffers[worker].Span;
        while (!source.IsEmpty)
        {
            int lead = (int)(offset % _alignment);
            int count = Math.Min(source.Length, bounce.Length - lead);
            Span<byte> block = bounce[..RoundUp(lead + count)];
            if (block.Length != count)
            {
                BlockStatus status = ReadFully(block, offset - lead);
                if (status != BlockStatus.Ok)
                {
                    return status;
                }
            }

            source[..count].CopyTo(block[lead..]);
            RandomAccess.Write(_file, block, offset - lead);
            source = source[count..];
            offset += count;
        }

        return BlockStatus.Ok;
    }

    private BlockStatus WriteZeroes(BlockRequest request, int worker)
    {
        long offset = request.OffsetBytes;
        long length = request.LengthBytes;
        if (length == 0 || HostFile.TryZeroRange(_file, offset, length) || HostFile.TryPunchHole(_file, offset, length))
        {
            return BlockStatus.Ok;
        }

        for (long done = 0; done < length; done += ZeroChunkBytes)
        {
            int count = (int)Math.Min(ZeroChunkBytes, length - done);
            BlockStatus status = Write(s_zeroes.AsSpan(0, count), offset + done, worker);
            if (status != BlockStatus.Ok)
            {
                return status;
            }
        }

        return BlockStatus.Ok;
    }

    private BlockStatus ReadFully(Span<byte> target, long offset)
    {
        while (!target.IsEmpty)
        {
            int count = RandomAccess.Read(_file, target, offset);
            if (count == 0)
            {
                return Fail($"the file ends at {offset}, it had {LengthBytes} bytes when it was opened");
            }

            target = target[count..];
            offset += count;
        }

        return BlockStatus.Ok;
    }

    private bool IsDirectReady(ReadOnlySpan<byte> bytes, long offset)
        => _alignment == 1
            || (((offset | (long)bytes.Length) & (_alignment - 1)) == 0 && HostFile.IsAligned(bytes, _alignment));

    private int RoundUp(int count) => (count + _alignment - 1) & -_alignment;

    private BlockStatus Fail(string what)
    {
        if (Interlocked.Exchange(ref _hasFailed, 1) == 0) // several workers may fail at once
        {
            _report($"{_path}: {what}");
        }

        return BlockStatus.IoError;
    }
}
