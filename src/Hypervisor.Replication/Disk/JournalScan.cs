using System;
using System.Collections.Generic;
using System.IO;
using Hypervisor.Core.State;

namespace Hypervisor.Replication.Disk;

/// <summary>
/// Reads a segment of the journal from its start as far as it is whole: complete, undamaged, contiguous epochs.
/// </summary>
internal sealed class JournalScan
{
    private const int DataBytesMax = Wire.MessageLimits.BulkBytesMax;

    private readonly IJournalStore _store;
    private readonly byte[] _head = new byte[JournalRecord.Bytes];
    private readonly List<EpochRange> _epochs = [];
    private readonly HashSet<ushort> _resized = []; // disks

    /// <summary>Scans <paramref name="store"/>.</summary>
    /// <exception cref="IOException">The store can't be read.</exception>
    public JournalScan(IJournalStore store)
    {
        _store = store;
        while (FindEpoch() is { } range)
        {
            _epochs.Add(range);
            ValidBytes = range.EndOffset;
        }
    }

    /// <summary>Where an epoch lies in the segment.</summary>
    internal readonly record struct EpochRange(ulong Incarnation, ulong Epoch, long StartOffset, long EndOffset);

    /// <summary>The committed epochs, in order.</summary>
    public IReadOnlyList<EpochRange> Epochs => _epochs;

    /// <summary>Disks whose size changes in these epochs.</summary>
    public HashSet<ushort> Resized => _resized;

    /// <summary>Where the last whole epoch ends; what follows is a torn tail.</summary>
    public long ValidBytes { get; private set; }

    /// <summary>
    /// Does to the disks what the epochs of the segment did, in order. May be repeated from the start.
    /// </summary>
    /// <param name="disks">The disks.</param>
    /// <param name="resized">
    /// Disks that a record here or in a segment after this one resizes. Such a disk may have become smaller already, in
    /// the life before: it grows for what was written before that, and gets its last size again.
    /// </param>
    /// <exception cref="IOException">A disk or the store failed, or a record does not fit a disk.</exception>
    public void Replay(IReadOnlyList<IStandbyDisk> disks, HashSet<ushort> resized)
    {
        for (long offset = 0; offset < ValidBytes;)
        {
            _store.Read(offset, _head);
            if (!JournalRecord.TryRead(_head, out JournalRecord record))
            {
                throw new IOException($"journal record at byte {offset} changed while it was replayed");
            }

            offset += JournalRecord.Bytes;
            byte[] data = new byte[record.DataBytes];
            _store.Read(offset, data);
            offset += data.Length;
            long end = record.OffsetBytes + record.LengthBytes;
            if (record.Kind is JournalKind.Write or JournalKind.Discard or JournalKind.WriteZeroes
                && resized.Contains(record.Disk) && record.Disk < disks.Count && end > disks[record.Disk].LengthBytes)
            {
                disks[record.Disk].Resize(end);
            }

            Apply(record, data, disks);
        }
    }

    /// <summary>Does what one record says.</summary>
    /// <exception cref="IOException">The disk failed, or the record does not fit it.</exception>
    public static void Apply(in JournalRecord record, ReadOnlySpan<byte> data, IReadOnlyList<IStandbyDisk> disks)
    {
        if (record.Kind == JournalKind.Commit)
        {
            return;
        }

        if (record.Disk >= disks.Count)
        {
            throw new IOException($"journal names disk {record.Disk}, there are {disks.Count}");
        }

        IStandbyDisk disk = disks[record.Disk];
        if (record.Kind == JournalKind.Resize)
        {
            disk.Resize(record.LengthBytes);
            return;
        }

        if (record.LengthBytes > disk.LengthBytes || record.OffsetBytes > disk.LengthBytes - record.LengthBytes)
        {
            throw new IOException(
                $"journal range {record.OffsetBytes}+{record.LengthBytes} is outside disk {record.Disk} "
                + $"of {disk.LengthBytes} bytes");
        }

        switch (record.Kind)
        {
            case JournalKind.Write:
                disk.Write(record.OffsetBytes, data);
                break;
            case JournalKind.Discard:
                disk.Discard(record.OffsetBytes, record.LengthBytes);
                break;
            case JournalKind.WriteZeroes:
                disk.WriteZeroes(record.OffsetBytes, record.LengthBytes);
                break;
            case JournalKind.Resize:
            case JournalKind.Commit:
                break;
        }
    }

    private EpochRange? FindEpoch()
    {
        List<ushort> resized = [];
        long offset = ValidBytes;
        EpochRange? last = _epochs.Count == 0 ? null : _epochs[^1];
        for (uint count = 0; ; count++)
        {
            if (_store.LengthBytes - offset < JournalRecord.Bytes)
            {
                return null;
            }

            _store.Read(offset, _head);
            if (!JournalRecord.TryRead(_head, out JournalRecord record)
                || record.DataBytes > DataBytesMax
                || record.DataBytes > _store.LengthBytes - offset - JournalRecord.Bytes
                || record.Order != count
                || (last is { } before
                    && (record.Incarnation != before.Incarnation || record.Epoch != before.Epoch + 1))
                || !IsDataWhole(record, offset + JournalRecord.Bytes))
            {
                return null;
            }

            offset += JournalRecord.Bytes + record.DataBytes;
            if (record.Kind == JournalKind.Resize)
            {
                resized.Add(record.Disk);
            }

            if (record.Kind == JournalKind.Commit)
            {
                if (record.LengthBytes != ValidBytes)
                {
                    return null;
                }

                _resized.UnionWith(resized);
                return new EpochRange(record.Incarnation, record.Epoch, ValidBytes, offset);
            }
        }
    }

    private bool IsDataWhole(in JournalRecord record, long offset)
    {
        byte[] data = new byte[record.DataBytes];
        _store.Read(offset, data);
        return ~Crc32C.Append(Crc32C.Start, data) == record.DataChecksum;
    }
}
