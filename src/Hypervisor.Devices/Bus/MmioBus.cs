using System;
using System.Collections.Generic;
using System.Numerics;
using Hypervisor.Core;

namespace Hypervisor.Devices.Bus;

/// <summary>The memory bus outside RAM. Called with the bus lock held.</summary>
/// <remarks>
/// Fixed ranges are claimed at build time. Windows (PCI BARs) are placed by the guest, on top of each other if it
/// likes: a fixed range hides a window, and an earlier window hides a later one. From both follows a sorted array of
/// pieces that do not overlap, searched in log2(pieces) steps. It is derived state: PCI places its windows again after
/// a load.
/// </remarks>
public sealed class MmioBus
{
    private readonly List<MmioWindow> _ranges = []; // in order of registration
    private Piece[] _pieces = [];

    /// <summary>Claims a fixed range for a device.</summary>
    /// <param name="name">What to call the device in a conflict.</param>
    /// <param name="gpa">The address that the device sees as offset 0.</param>
    /// <param name="lengthBytes">Size of the range.</param>
    /// <param name="device">Who answers.</param>
    /// <param name="accessBytesMax">Widest access the device takes; wider ones reach it in pieces, lowest
    /// first.</param>
    /// <exception cref="BusConflictException">Some of the range is taken.</exception>
    public void Register(string name, ulong gpa, ulong lengthBytes, IMmioDevice device, int accessBytesMax = 8)
    {
        Check.That(lengthBytes > 0 && lengthBytes - 1 <= ulong.MaxValue - gpa);
        MmioWindow range = AddWindow(name, lengthBytes, device, accessBytesMax);
        range.Place(gpa, isFixed: true);
        foreach (MmioWindow other in _ranges)
        {
            if (other != range && other.IsFixed && range.Overlaps(other))
            {
                _ranges.Remove(range);
                throw new BusConflictException($"addresses of {range} overlap {other}");
            }
        }

        Rebuild();
    }

    /// <summary>Makes a range that is nowhere yet, and that the guest places: a PCI memory BAR.</summary>
    public MmioWindow AddWindow(string name, ulong lengthBytes, IMmioDevice device, int accessBytesMax = 8)
    {
        Check.That(lengthBytes > 0 && accessBytesMax is 1 or 2 or 4 or 8);
        var range = new MmioWindow(this, name, lengthBytes, device, accessBytesMax);
        _ranges.Add(range);
        return range;
    }

    /// <summary>Whether a device answers at <paramref name="gpa"/>.</summary>
    public bool IsClaimed(ulong gpa) => Find(gpa) >= 0;

    /// <summary>Reads 1, 2, 4 or 8 bytes; addresses without a device read as all ones.</summary>
    public ulong Read(ulong gpa, int sizeBytes)
    {
        int index = Find(gpa);
        if (index >= 0)
        {
            ref readonly Piece piece = ref _pieces[index];
            if (sizeBytes <= piece.Range.AccessBytesMax && (ulong)sizeBytes - 1 <= piece.Last - gpa)
            {
                return piece.Range.Device.ReadMmio(gpa - piece.Range.First, sizeBytes);
            }
        }

        return ReadPieces(gpa, sizeBytes);
    }

    /// <summary>Writes 1, 2, 4 or 8 bytes; addresses without a device drop them.</summary>
    public void Write(ulong gpa, int sizeBytes, ulong value)
    {
        int index = Find(gpa);
        if (index >= 0)
        {
            ref readonly Piece piece = ref _pieces[index];
            if (sizeBytes <= piece.Range.AccessBytesMax && (ulong)sizeBytes - 1 <= piece.Last - gpa)
            {
                piece.Range.Device.WriteMmio(gpa - piece.Range.First, sizeBytes, value);
                return;
            }
        }

        WritePieces(gpa, sizeBytes, value);
    }

    internal void Rebuild()
    {
        var pieces = new List<Piece>();
        LayAll(pieces, isFixed: true);
        LayAll(pieces, isFixed: false);
        _pieces = [.. pieces];
    }

    private void LayAll(List<Piece> pieces, bool isFixed)
    {
        foreach (MmioWindow range in _ranges)
        {
            if (range.IsMapped && range.IsFixed == isFixed)
            {
                LayInGaps(pieces, range);
            }
        }
    }

    // Adds what the pieces that are there leave free of the range; keeps them sorted.
    private static void LayInGaps(List<Piece> pieces, MmioWindow range)
    {
        ulong next = range.First;
        int i = pieces.FindIndex(piece => piece.Last >= range.First);
        for (i = i < 0 ? pieces.Count : i; i < pieces.Count && pieces[i].First <= range.Last; i++)
        {
            Piece other = pieces[i];
            if (other.First > next)
            {
                pieces.Insert(i++, new Piece(next, other.First - 1, range));
            }

            if (other.Last >= range.Last)
            {
                return;
            }

            next = other.Last + 1;
        }

        pieces.Insert(i, new Piece(next, range.Last, range));
    }

    private int Find(ulong gpa)
    {
        Piece[] pieces = _pieces;
        int low = 0;
        int high = pieces.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            if (gpa < pieces[middle].First)
            {
                high = middle - 1;
            }
            else if (gpa > pieces[middle].Last)
            {
                low = middle + 1;
            }
            else
            {
                return middle;
            }
        }

        return -1;
    }

    private ulong ReadPieces(ulong gpa, int sizeBytes)
    {
        ulong value = 0;
        for (int done = 0; done < sizeBytes;)
        {
            ulong at = gpa + (ulong)done;
            int piece = PieceBytes(at, sizeBytes - done);
            ulong part = Find(at) >= 0 ? Read(at, piece) : ulong.MaxValue >> (64 - (piece * 8));
            value |= part << (done * 8);
            done += piece;
        }

        return value;
    }

    private void WritePieces(ulong gpa, int sizeBytes, ulong value)
    {
        for (int done = 0; done < sizeBytes;)
        {
            ulong at = gpa + (ulong)done;
            int piece = PieceBytes(at, sizeBytes - done);
            if (Find(at) >= 0)
            {
                Write(at, piece, (value >> (done * 8)) & (ulong.MaxValue >> (64 - (piece * 8))));
            }

            done += piece;
        }
    }

    // The widest naturally aligned access that the device at this address takes whole.
    private int PieceBytes(ulong gpa, int restBytes)
    {
        int index = Find(gpa);
        if (index < 0)
        {
            return 1;
        }

        ulong last = _pieces[index].Last;
        int room = Math.Min(restBytes, _pieces[index].Range.AccessBytesMax);
        room = last - gpa < (ulong)room ? (int)(last - gpa) + 1 : room;
        return Math.Min(1 << BitOperations.Log2((uint)room), 1 << BitOperations.TrailingZeroCount(gpa | 8));
    }

    private readonly record struct Piece(ulong First, ulong Last, MmioWindow Range);
}
