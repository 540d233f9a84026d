using System;
using System.Collections.Generic;
using System.Security.Cryptography;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Core.Memory;
using Hypervisor.Replication.Capture;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Link;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <summary>
/// Everything that captures for one life of the pair: pools, copier, tags. Ended as a whole, never used again.
/// </summary>
/// <remarks>Tag observer on the guest's threads; the rest on the capture thread, except <see cref="Stop"/>.</remarks>
internal sealed class CaptureRun : IEpochTagObserver, IDisposable
{
    /// <summary>
    /// What the full copy reads of a disk at once: so much that threads change little, and so little that a request of
    /// the guest, which waits meanwhile, waits for well under a millisecond.
    /// </summary>
    public const int RangeBytes = 8 * PieceBytes;

    // Payload of the chunks: fields and bulk together fill one buffer at the receiver.
    private const int ChunkBytes = ReceivePool.PooledBytes - 64;

    /// <summary>What one message of the full copy has of a disk: whole pages of the host's cache.</summary>
    public const int PieceBytes = ChunkBytes & ~4095;

    private const int RamChunks = 256;   // 16 MiB
    private const int DiskChunks = 256;  // 16 MiB
    private const int SectionChunks = 4; // as many cuts as may be unsent; only what is used of 16 MiB becomes resident

    private readonly PrimarySetup _setup;
    private readonly Inbox<PrimaryEvent> _inbox;
    private readonly ChunkPool _ramPool = new(RamChunks, ChunkBytes);
    private readonly ChunkPool _diskPool = new(DiskChunks, ChunkBytes);
    private readonly Stack<Chunk> _rented = new(RangeBytes / PieceBytes); // for the range that is being copied
    private readonly byte[] _range = new byte[RangeBytes]; // of a disk, as it was read
    private readonly Inbox<Comparison> _comparisons = new();
    private readonly DiscardedBlocks[] _discarded;
    private Purpose _purpose; // of the range that is being read
    private Scrub? _scrub; // set by the session's thread, read by the capture thread and by Stop
    private bool _isStopped;

    /// <summary>A run.</summary>
    /// <param name="setup">The session's.</param>
    /// <param name="replica">What the standby has of RAM.</param>
    /// <param name="discarded">Of each disk, what has no content that could be compared, over all runs.</param>
    /// <param name="plan">What is to be copied.</param>
    /// <param name="inbox">The session's.</param>
    public CaptureRun(
        PrimarySetup setup,
        RamReplica replica,
        DiscardedBlocks[] discarded,
        in ResyncPlan plan,
        Inbox<PrimaryEvent> inbox)
    {
        _setup = setup;
        _inbox = inbox;
        Plan = plan;
        _discarded = discarded;
        Copier = new RamCopier(setup.Machine.Ram, replica, _ramPool, PostRam);
    }

    /// <summary>What is to be copied.</summary>
    public ResyncPlan Plan { get; }

    /// <summary>Disks as they were announced to the standby; none where nobody was told.</summary>
    public IReadOnlyList<DiskIdentity> Announced { get; init; } = [];

    private enum Purpose : byte
    {
        Copy,
        Compare, // by digest, before it is copied
        Scrub,
    }

    /// <summary>The scrub that is under way, if any.</summary>
    public Scrub? Scrub => Volatile.Read(ref _scrub); // pairs with StartScrub

    /// <summary>
    /// Held for the inside of a cut and by <see cref="Stop"/>: a stopped run changes nothing any more.
    /// </summary>
    public Lock Gate { get; } = new();

    /// <summary>Whether it was stopped. Read inside <see cref="Gate"/>, or as a hint.</summary>
    public bool IsStopped => Volatile.Read(ref _isStopped); // pairs with Stop

    /// <summary>RAM.</summary>
    public RamCopier Copier { get; }

    /// <summary>Buffers for the device state of a cut.</summary>
    public ChunkPool SectionPool { get; } = new(SectionChunks, SectionCapture.BytesMax);

    /// <summary>Epoch whose RAM is being copied; 0 during the full copy.</summary>
    public ulong CopyEpoch { get; set; }

    /// <summary>Whether RAM chunks belong to the full copy before its cut.</summary>
    public bool IsFullCopy { get; set; } = true;

    /// <summary>Ends it, from any thread: nobody waits for anything of it any more.</summary>
    public void Stop()
    {
        // First the pools: a guest thread that waits for a chunk may hold what the next steps need.
        _ramPool.Break();
        _diskPool.Break();
        SectionPool.Break();
        lock (Gate)
        {
            Volatile.Write(ref _isStopped, true); // pairs with IsStopped
        }

        _comparisons.Post(default); // wakes who waits, to see that
        Scrub?.Stop();

        foreach (EpochTagFilter disk in _setup.Disks)
        {
            disk.StopObserving();
        }

        Copier.Abort();
    }

    /// <summary>Frees what it captured to; stopped, and with no thread inside <see cref="Copier"/>.</summary>
    public void Dispose()
    {
        _scrub?.Dispose();
        Copier.Dispose();
        _comparisons.Dispose();
    }

    /// <summary>Posts something that belongs to this run.</summary>
    public void Post(
        PrimaryEventKind kind,
        Message? message = null,
        ulong epoch = 0,
        string? text = null)
        => _inbox.Post(new PrimaryEvent(kind, message, this, epoch, text));

    /// <summary>Posts that everything of a cut was handed over.</summary>
    public void PostDone(ulong epoch, ulong ramDigest, in EpochCost cost)
        => _inbox.Post(new PrimaryEvent(
            PrimaryEventKind.CaptureDone, Source: this, Epoch: epoch, RamDigest: ramDigest, Cost: cost));

    /// <summary>An empty chunk for console bytes; null once stopped.</summary>
    public Chunk? RentChunk() => _ramPool.Rent();

    /// <summary>The standby compared a range that <see cref="TryCompareRange"/> showed it. Any thread.</summary>
    public void OnCompared(DiskRange range, bool isSame) => _comparisons.Post(new Comparison(range, isSame));

    /// <summary>Waits for the next comparison. False once stopped.</summary>
    public bool TryTakeComparison(out Comparison comparison)
    {
        while (!IsStopped)
        {
            if (_comparisons.TryTake(Timeout.Infinite, out comparison) && comparison.Range.LengthBytes > 0)
            {
                return true;
            }
        }

        comparison = default;
        return false;
    }

    /// <summary>
    /// Shows the standby what a range has in it, in order with the guest's writes; it answers for each piece of
    /// <see cref="PieceBytes"/>. False when it cannot go on.
    /// </summary>
    public bool TryCompareRange(EpochTagFilter disk, long offsetBytes, int lengthBytes)
    {
        _purpose = Purpose.Compare;
        bool isDone = TryReadRange(disk, offsetBytes, lengthBytes);
        _purpose = Purpose.Copy;
        return isDone;
    }

    /// <summary>
    /// Hands over the hashes of a range of a disk, in order with the guest's writes; for the scrub's thread, once the
    /// full copy is over. False when it cannot go on.
    /// </summary>
    public bool TryScrubRange(EpochTagFilter disk, long offsetBytes, int lengthBytes)
    {
        _purpose = Purpose.Scrub;
        return TryReadRange(disk, offsetBytes, lengthBytes);
    }

    /// <summary>Begins to compare everything. On the session's thread.</summary>
    public void StartScrub(long bytesPerSecond)
    {
        _scrub?.Dispose(); // of the time before, which is over
        Volatile.Write(ref _scrub, new Scrub(this, _setup, bytesPerSecond)); // pairs with Scrub
    }

    /// <summary>Posts the hashes of a range.</summary>
    public void PostScrub(DiskRange range, byte[] hashes)
    {
        var message = new ScrubMessage { Range = range };
        message.Attach(hashes, null);
        Post(PrimaryEventKind.ScrubRead, message);
    }

    /// <summary>Copies a range of a disk in order with the guest's writes. False when it cannot go on.</summary>
    public bool TryCopyRange(EpochTagFilter disk, long offsetBytes, int lengthBytes)
    {
        // Waited for here: OnCopied is called where requests of the guest, and so all of its vCPUs, would wait as well.
        while (_rented.Count < RangeBytes / PieceBytes)
        {
            if (_diskPool.Rent() is not { } chunk)
            {
                ReturnRented();
                return false;
            }

            _rented.Push(chunk);
        }

        bool isDone = TryReadRange(disk, offsetBytes, lengthBytes);
        ReturnRented();
        return isDone;
    }

    private bool TryReadRange(EpochTagFilter disk, long offsetBytes, int lengthBytes)
    {
        bool isObserved = disk.TryCopyRange(offsetBytes, _range.AsMemory(0, lengthBytes), out BlockStatus status);
        if (isObserved && status != BlockStatus.Ok)
        {
            Post(
                PrimaryEventKind.Failure,
                text: $"disk {disk.Disk}: reading bytes {offsetBytes} + {lengthBytes}: {status}");
        }

        return isObserved && status == BlockStatus.Ok && !IsStopped;
    }

    /// <inheritdoc/>
    public void OnTagged(int disk, ulong epoch, BlockRequest request)
    {
        if (epoch == 0 && _setup.IsShared(disk))
        {
            return; // not held yet: it is on its way to where the standby finds it
        }

        _discarded[disk].OnChange(request.Operation, request.OffsetBytes, request.LengthBytes);
        if (request.Operation != BlockOperation.Write)
        {
            Tag(disk, epoch, request.Operation, request.OffsetBytes, request.LengthBytes, null);
            return;
        }

        ReadOnlySpan<byte> data = request.Buffer.Span;
        for (long offset = request.OffsetBytes; !data.IsEmpty;)
        {
            Chunk? chunk = _diskPool.Rent(); // waiting here slows the guest (rule 23)
            if (chunk is null)
            {
                return;
            }

            int count = Math.Min(data.Length, ChunkBytes);
            data[..count].CopyTo(chunk.Free);
            chunk.Advance(count);
            Tag(disk, epoch, BlockOperation.Write, offset, count, chunk);
            offset += count;
            data = data[count..];
        }
    }

    /// <inheritdoc/>
    public void OnCopied(int disk, long offsetBytes, ReadOnlyMemory<byte> bytes)
    {
        ReadOnlySpan<byte> rest = bytes.Span;
        if (_purpose == Purpose.Scrub)
        {
            PostHashes(disk, offsetBytes, rest);
            return;
        }

        if (_purpose == Purpose.Compare)
        {
            for (; !rest.IsEmpty; offsetBytes += PieceBytes)
            {
                int length = Math.Min(rest.Length, PieceBytes);
                Post(PrimaryEventKind.Copied, new DiskDigestMessage
                {
                    Range = new DiskRange((ushort)disk, offsetBytes, length),
                    Digest = SHA256.HashData(rest[..length]),
                });
                rest = rest[length..];
            }

            return;
        }

        while (!rest.IsEmpty)
        {
            // Zeroes need no buffer, so a run of them is one message.
            int zeroes = rest.IndexOfAnyExcept((byte)0);
            int count = zeroes < 0 ? rest.Length : zeroes / PieceBytes * PieceBytes;
            if (count > 0)
            {
                PostBlock(disk, offsetBytes, count, null);
            }
            else
            {
                Chunk chunk = _rented.Pop();
                count = Math.Min(rest.Length, PieceBytes);
                rest[..count].CopyTo(chunk.Free);
                chunk.Advance(count);
                PostBlock(disk, offsetBytes, count, chunk);
            }

            offsetBytes += count;
            rest = rest[count..];
        }
    }

    /// <inheritdoc/>
    public void OnTaggedFailed(int disk, BlockOperation operation, BlockStatus status)
        => Post(PrimaryEventKind.Failure, text: $"disk {disk}: a {operation} of the guest ended with {status}");

    private void PostHashes(int disk, long offsetBytes, ReadOnlySpan<byte> bytes)
    {
        byte[] hashes = new byte[ScrubHashes.Bytes(bytes.Length)];
        int length = bytes.Length;
        for (int block = 0; !bytes.IsEmpty; block++)
        {
            ReadOnlySpan<byte> here = bytes[..Math.Min(bytes.Length, PageKernels.PageBytes)];
            long place = (offsetBytes / PageKernels.PageBytes) + block;
            ScrubHashes.Put(
                hashes,
                block,
                _discarded[disk].Contains(place) ? ScrubHashes.Unknown : ScrubHashes.Of(place, here));
            bytes = bytes[here.Length..];
        }

        PostScrub(new DiskRange((ushort)disk, offsetBytes, length), hashes);
    }

    private void ReturnRented()
    {
        while (_rented.TryPop(out Chunk? chunk))
        {
            chunk.Dispose();
        }
    }

    private void Tag(int disk, ulong epoch, BlockOperation operation, long offset, long length, Chunk? chunk)
    {
        var message = new DiskWriteMessage
        {
            Epoch = epoch,
            Disk = (ushort)disk,
            Operation = operation,
            OffsetBytes = operation == BlockOperation.Flush ? 0 : offset,
            LengthBytes = operation == BlockOperation.Flush ? 0 : length,
        };
        if (chunk is not null)
        {
            message.Attach(chunk.Content, chunk);
        }

        Post(PrimaryEventKind.DiskWrite, message);
    }

    /// <param name="disk">Which.</param>
    /// <param name="offsetBytes">First byte.</param>
    /// <param name="lengthBytes">How many.</param>
    /// <param name="chunk">Their content; null when they are zeroes.</param>
    private void PostBlock(int disk, long offsetBytes, int lengthBytes, Chunk? chunk)
    {
        var message = new DiskBlockMessage
        {
            Disk = (ushort)disk,
            IsZero = chunk is null,
            OffsetBytes = offsetBytes,
            LengthBytes = lengthBytes,
        };
        if (chunk is not null)
        {
            message.Attach(chunk.Content, chunk);
        }

        Post(PrimaryEventKind.Copied, message);
    }

    private void PostRam(Chunk chunk)
    {
        var message = new RamBlockMessage { Epoch = CopyEpoch, PageCount = 0 };
        message.Attach(chunk.Content, chunk);
        message.KnownChecksum = message.ComputeChecksum(); // here, not on the session's thread
        Post(IsFullCopy ? PrimaryEventKind.Copied : PrimaryEventKind.Captured, message);
    }
}
