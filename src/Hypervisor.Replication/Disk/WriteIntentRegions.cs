using System;
using System.Collections.Generic;
using Hypervisor.Backends.Block;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Disk;

/// <summary>
/// What a write-intent log knows: which regions may differ, since which points, and what of it is stored.
/// </summary>
/// <remarks>Pure: no thread, file or lock. Its owner takes care that one thread at a time is in here.</remarks>
internal sealed class WriteIntentRegions
{
    private readonly long _diskBytes;
    private readonly ulong[] _wanted;    // regions that are written to, or wait for it
    private readonly ulong[] _durable;   // regions that the file has
    private readonly int[] _underway;    // writes that are about to reach the disk, for each region
    private readonly List<ReplicaPoint> _points = [];
    private ulong _ackedStamp;
    private ReplicaPoint _ackedPoint;

    /// <summary>Nothing is known yet.</summary>
    /// <param name="diskBytes">Size of the disk.</param>
    /// <param name="regionBytes">Grain.</param>
    /// <param name="changes">What changed when; what a slot says is marked there with the first stamp.</param>
    public WriteIntentRegions(long diskBytes, long regionBytes, ChangeMap changes)
    {
        _diskBytes = diskBytes;
        RegionBytes = regionBytes;
        Changes = changes;
        long regions = (diskBytes + regionBytes - 1) / regionBytes;
        _wanted = new ulong[(regions + 63) / 64];
        _durable = new ulong[_wanted.Length];
        _underway = new int[_wanted.Length * 64];
    }

    /// <summary>Grain, in bytes.</summary>
    public long RegionBytes { get; }

    /// <summary>What changed when.</summary>
    public ChangeMap Changes { get; }

    /// <summary>Words of regions.</summary>
    public int Words => _wanted.Length;

    /// <summary>Points since which every change is in here.</summary>
    public IReadOnlyList<ReplicaPoint> Points => _points;

    /// <summary>What a process before left behind.</summary>
    public void Load(WriteIntentSlot slot)
    {
        _points.AddRange(slot.Points);
        slot.Regions.CopyTo(_wanted, 0);
        slot.Regions.CopyTo(_durable, 0);
        foreach (DiskRange range in Ranges(0, int.MaxValue))
        {
            Changes.Mark(range.OffsetBytes, range.LengthBytes, ResyncHistory.FirstStamp);
        }
    }

    /// <summary>Something is about to change; <see cref="Leave"/> follows.</summary>
    public void Enter(long offsetBytes, long lengthBytes) => Count(offsetBytes, lengthBytes, 1);

    /// <summary>What is about to change must be stored before it does.</summary>
    /// <returns>Whether it is; if not, it is wanted from now on.</returns>
    public bool Want(long offsetBytes, long lengthBytes)
    {
        bool isDurable = true;
        (long first, long last) = RegionsOf(offsetBytes, lengthBytes);
        for (long region = first; region <= last; region++)
        {
            _wanted[region >> 6] |= 1ul << (int)(region & 63);
            isDurable &= (_durable[region >> 6] & (1ul << (int)(region & 63))) != 0;
        }

        return isDurable;
    }

    /// <summary>What was under way has reached the disk, or failed.</summary>
    public void Leave(long offsetBytes, long lengthBytes) => Count(offsetBytes, lengthBytes, -1);

    /// <summary>A life of the pair begins.</summary>
    public void Begin(ReplicaPoint point)
    {
        _points.Add(point);
        if (_points.Count > WriteIntentSlot.PointsMax)
        {
            _points.RemoveAt(0);
        }
    }

    /// <summary>The standby has everything up to a point: changes with no higher stamp need not be known.</summary>
    public void Acknowledge(ulong stamp, ReplicaPoint point)
    {
        _ackedStamp = stamp;
        _ackedPoint = point;
    }

    /// <summary>Nothing is true any more.</summary>
    public void Forget()
    {
        _points.Clear();
        Array.Clear(_wanted);
        Array.Clear(_durable);
    }

    /// <summary>What is to be stored now, without what is acknowledged.</summary>
    /// <param name="regions">Takes the regions; <see cref="Words"/> of them.</param>
    public ReplicaPoint[] Take(Span<ulong> regions)
    {
        DropAcknowledged();
        _wanted.CopyTo(regions);
        return [.. _points];
    }

    /// <summary>That is stored.</summary>
    public void OnStored(ReadOnlySpan<ulong> regions) => regions.CopyTo(_durable);

    /// <summary>What may differ, in order.</summary>
    /// <param name="disk">Number of the disk.</param>
    /// <param name="countMax">Most ranges wanted; with less of them, they are longer.</param>
    public List<DiskRange> Ranges(ushort disk, int countMax)
    {
        List<DiskRange> ranges;
        long grain = 1;
        do
        {
            ranges = RangesOf(disk, grain);
            grain *= 2;
        }
        while (ranges.Count > countMax);
        return ranges;
    }

    private void Count(long offsetBytes, long lengthBytes, int change)
    {
        (long first, long last) = RegionsOf(offsetBytes, lengthBytes);
        for (long region = first; region <= last; region++)
        {
            _underway[region] += change;
        }
    }

    // None of what lies outside of the disk: the image refuses that.
    private (long First, long Last) RegionsOf(long offsetBytes, long lengthBytes) => offsetBytes < 0 ? (0, -1)
        : (offsetBytes / RegionBytes, (Math.Min(offsetBytes + lengthBytes, _diskBytes) - 1) / RegionBytes);

    private List<DiskRange> RangesOf(ushort disk, long grain)
    {
        List<DiskRange> ranges = [];
        long step = grain * RegionBytes;
        for (long offset = 0; offset < _diskBytes; offset += step)
        {
            if (IsAnyWanted(offset / RegionBytes, grain))
            {
                long length = Math.Min(step, _diskBytes - offset);
                bool follows = ranges.Count > 0 && ranges[^1].OffsetBytes + ranges[^1].LengthBytes == offset;
                if (follows)
                {
                    ranges[^1] = ranges[^1] with { LengthBytes = ranges[^1].LengthBytes + length };
                }
                else
                {
                    ranges.Add(new DiskRange(disk, offset, length));
                }
            }
        }

        return ranges;
    }

    private bool IsAnyWanted(long region, long count)
    {
        for (long i = region; i < region + count && i >> 6 < _wanted.Length; i++)
        {
            if ((_wanted[i >> 6] & (1ul << (int)(i & 63))) != 0)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// Not what is under way: it gets its stamp later than it entered, and the standby may have it before this disk.
    /// Nor one region of a change that waits for another.
    /// </summary>
    private void DropAcknowledged()
    {
        int index = _points.FindIndex(point => point.Incarnation == _ackedPoint.Incarnation);
        if (index < 0)
        {
            return;
        }

        _points[index] = _ackedPoint;
        _points.RemoveRange(0, index);
        long regions = (_diskBytes + RegionBytes - 1) / RegionBytes;
        for (long region = 0; region < regions; region++)
        {
            bool isRecorded = (_durable[region >> 6] & (1ul << (int)(region & 63))) != 0; // else it is just wanted
            if (isRecorded && _underway[region] == 0
                && !Changes.IsChanged(region * RegionBytes, RegionBytes, _ackedStamp))
            {
                _wanted[region >> 6] &= ~(1ul << (int)(region & 63));
                _durable[region >> 6] &= ~(1ul << (int)(region & 63));
            }
        }
    }
}
