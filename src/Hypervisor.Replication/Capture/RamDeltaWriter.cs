using System;
using System.Buffers.Binary;
using System.Numerics;
using Hypervisor.Core;
using Hypervisor.Core.Memory;
using Hypervisor.Replication.Link;

namespace Hypervisor.Replication.Capture;

/// <summary>Turns pages into the records of <see cref="RamDelta"/>, against a shadow of what the standby has.</summary>
/// <remarks>Used by the copier's thread alone. The shadow starts as zeroes and moves with every record.</remarks>
internal sealed class RamDeltaWriter(PrivateRam shadow, RamDigest digest, ChunkPool pool, Action<Chunk> send)
{
    // Above a record there may be a run of zero pages that is still open.
    private const int RoomNeeded = RamDelta.RecordBytesMax + RamDelta.ZeroesBytes;

    private Chunk? _chunk;
    private int _zeroStart;
    private int _zeroCount;

    /// <summary>Digest of the pages that were given here; see <see cref="RamDigest"/>.</summary>
    public RamDigest Digest { get; } = digest;

    /// <summary>Lines written since the last <see cref="ResetCounts"/>.</summary>
    public long Lines { get; private set; }

    /// <summary>Payload bytes handed to the link since the last <see cref="ResetCounts"/>.</summary>
    public long Bytes { get; private set; }

    /// <summary>Chunks handed to the link since the last <see cref="ResetCounts"/>.</summary>
    public int Chunks { get; private set; }

    /// <summary>Starts the counts anew.</summary>
    public void ResetCounts() => (Lines, Bytes, Chunks) = (0, 0, 0);

    /// <summary>Makes room for one record, before a page is claimed. May wait; false once the pool is broken.</summary>
    public bool TryReserve()
    {
        if (_chunk is not null && _chunk.Free.Length >= RoomNeeded)
        {
            return true;
        }

        Flush();
        _chunk = pool.Rent();
        return _chunk is not null;
    }

    /// <summary>Writes what differs between <paramref name="bytes"/> and the shadow. Room was reserved.</summary>
    public void Write(int page, ReadOnlySpan<byte> bytes)
    {
        Span<byte> kept = shadow.Page(page);
        ulong mask = PageKernels.ChangedLines(kept, bytes);
        if (mask == 0)
        {
            return;
        }

        if (PageKernels.IsZero(bytes))
        {
            kept.Clear();
            AddZeroPage(page);
            return;
        }

        Digest.Update(page, bytes);
        WriteLines(page, RamDelta.LinesKind, mask, bytes, kept);
    }

    /// <summary>Writes the whole page, whatever the standby has there. Room was reserved.</summary>
    public void WriteFresh(int page, ReadOnlySpan<byte> bytes)
    {
        Span<byte> kept = shadow.Page(page);
        if (PageKernels.IsZero(bytes))
        {
            WriteZero(page);
            return;
        }

        Digest.Update(page, bytes);
        kept.Clear();
        WriteLines(page, RamDelta.FreshKind, PageKernels.ChangedLines(kept, bytes), bytes, kept);
    }

    /// <summary>Writes a page that is all zeroes. Room was reserved.</summary>
    public void WriteZero(int page)
    {
        // Storing zeroes to a page that the host never backed would only cost memory.
        if (!PageKernels.IsZero(shadow.Page(page)))
        {
            shadow.Page(page).Clear();
        }

        AddZeroPage(page);
    }

    /// <summary>Hands what is written to the link.</summary>
    public void Flush()
    {
        CloseZeroRun();
        if (_chunk is null)
        {
            return;
        }

        Chunk chunk = _chunk;
        _chunk = null;
        if (chunk.Length == 0)
        {
            chunk.Dispose();
            return;
        }

        Chunks++;
        Bytes += chunk.Length;
        send(chunk);
    }

    private void WriteLines(int page, uint kind, ulong mask, ReadOnlySpan<byte> bytes, Span<byte> kept)
    {
        CloseZeroRun();
        Check.That(_chunk is not null && mask != 0);
        Span<byte> record = _chunk.Free;
        BinaryPrimitives.WriteUInt32LittleEndian(record, (uint)page | (kind << RamDelta.KindShift));
        BinaryPrimitives.WriteUInt64LittleEndian(record[sizeof(uint)..], mask);
        int packed = LineDelta.Pack(bytes, kept, mask, record[RamDelta.LinesHeaderBytes..]);
        _chunk.Advance(RamDelta.LinesHeaderBytes + packed);
        Lines += BitOperations.PopCount(mask);
    }

    private void AddZeroPage(int page)
    {
        Digest.Clear(page);
        if (_zeroCount == 0 || page != _zeroStart + _zeroCount)
        {
            CloseZeroRun();
            _zeroStart = page;
        }

        _zeroCount++;
    }

    private void CloseZeroRun()
    {
        if (_zeroCount == 0)
        {
            return;
        }

        Check.That(_chunk is not null);
        Span<byte> record = _chunk.Free;
        BinaryPrimitives.WriteUInt32LittleEndian(
            record, (uint)_zeroStart | (RamDelta.ZeroesKind << RamDelta.KindShift));
        BinaryPrimitives.WriteInt32LittleEndian(record[sizeof(uint)..], _zeroCount);
        _chunk.Advance(RamDelta.ZeroesBytes);
        if (_zeroCount >= RamDelta.GivenBackPagesMin)
        {
            shadow.Discard(_zeroStart, _zeroCount); // what the guest gave back is not to be kept here
        }

        _zeroCount = 0;
    }
}
