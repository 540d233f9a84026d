using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Core;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Disk;

/// <summary>
/// Which regions of a primary's disk may differ from what its standby has, known durably before they do: so that a
/// primary that died is resynced by what it had not committed, and not as a whole (rules 36, 37).
/// </summary>
/// <remarks>
/// A region is recorded once, before the first write to it, and forgotten together with other records when everything
/// that was written to it is acknowledged. Records are always a superset, so the log of a process that died is as good
/// as that of one that ended. One thread writes them; a write to a new region waits for it, all others only look.
/// </remarks>
public sealed class WriteIntentLog : IWriteIntent, IDisposable
{
    /// <summary>Lives of a pair that one log may speak of: of a copy that is on its way, and before it.</summary>
    internal const int PointsMax = WriteIntentSlot.PointsMax;

    private const long RegionBytesMin = 1 << 20;
    private const int RegionsMax = 1 << 16; // 8 KiB of bits: one write of the host's disk
    private const int TouchMillis = 500;

    private readonly string _path;
    private readonly long _diskBytes;
    private readonly Lock _storing = new(); // held from what is to be stored until it is: versions keep their order
    private readonly Lock _lock = new();    // inside it; protects the fields below
    private readonly ulong[] _wanted;    // regions that are written to, or wait for it
    private readonly ulong[] _durable;   // regions that the file has
    private readonly ulong[] _stored;    // by whoever is storing
    private readonly List<ReplicaPoint> _points = [];
    private readonly AutoResetEvent _wake = new(false);
    private WriteIntentFile? _file;
    private Thread? _thread;
    private Action _onPrepared = static () => { };
    private ulong _ackedStamp;
    private ReplicaPoint _ackedPoint;
    private bool _hasFailed;
    private bool _isClosing;

    /// <summary>Reads what a process before left behind. Nothing is logged before a pair begins.</summary>
    /// <param name="path">The log; made when it is needed.</param>
    /// <param name="diskBytes">Size of the disk.</param>
    /// <exception cref="IOException">It cannot be read.</exception>
    public WriteIntentLog(string path, long diskBytes)
    {
        _path = path;
        _diskBytes = diskBytes;
        RegionBytes = RegionBytesMin;
        while ((diskBytes + RegionBytes - 1) / RegionBytes > RegionsMax)
        {
            RegionBytes *= 2;
        }

        long regions = (diskBytes + RegionBytes - 1) / RegionBytes;
        _wanted = new ulong[(regions + 63) / 64];
        _durable = new ulong[_wanted.Length];
        _stored = new ulong[_wanted.Length];
        Changes = new ChangeMap(diskBytes);
        if (WriteIntentFile.Load(path, diskBytes, RegionBytes, _wanted.Length) is { } slot)
        {
            _points.AddRange(slot.Points);
            slot.Regions.CopyTo(_wanted, 0);
            slot.Regions.CopyTo(_durable, 0);
            foreach (DiskRange range in Ranges(0, int.MaxValue))
            {
                Changes.Mark(range.OffsetBytes, range.LengthBytes, ResyncHistory.FirstStamp);
            }
        }
    }

    /// <summary>What changed when: of this process exactly, of the ones before as far as the log says.</summary>
    public ChangeMap Changes { get; }

    /// <summary>Grain of the log, in bytes.</summary>
    public long RegionBytes { get; }

    /// <inheritdoc/>
    public Action OnPrepared
    {
        set => _onPrepared = value;
    }

    /// <summary>Points since which every change is in here.</summary>
    internal IReadOnlyList<ReplicaPoint> Points
    {
        get
        {
            lock (_lock)
            {
                return [.. _points];
            }
        }
    }

    /// <inheritdoc/>
    public bool? TryPrepare(long offsetBytes, long lengthBytes)
    {
        lock (_lock)
        {
            if (_file is null || offsetBytes < 0)
            {
                return true; // no pair: nobody is going to ask; or the image refuses it
            }

            bool isDurable = true;
            long last = Math.Min(offsetBytes + lengthBytes, _diskBytes) - 1;
            for (long region = offsetBytes / RegionBytes; region <= last / RegionBytes; region++)
            {
                _wanted[region >> 6] |= 1ul << (int)(region & 63);
                isDurable &= (_durable[region >> 6] & (1ul << (int)(region & 63))) != 0;
            }

            if (isDurable && !_hasFailed)
            {
                return true;
            }

            _ = _wake.Set();
            return _hasFailed ? false : null;
        }
    }

    /// <summary>
    /// A life of the pair begins: from here on changes are logged. On return that is durable; what was known before
    /// stays.
    /// </summary>
    /// <exception cref="IOException">The host refuses.</exception>
    internal void Begin(ReplicaPoint point)
    {
        lock (_storing)
        {
            lock (_lock)
            {
                _file ??= new WriteIntentFile(_path, _diskBytes, RegionBytes, _wanted.Length);
                _points.Add(point);
                if (_points.Count > PointsMax)
                {
                    _points.RemoveAt(0);
                }
            }

            Store();
            _thread ??= StartThread();
        }
    }

    /// <summary>
    /// The guest goes on writing to a disk of which the log knows something: it stays true. Before the guest runs.
    /// </summary>
    /// <exception cref="IOException">The host refuses.</exception>
    internal void Continue()
    {
        lock (_storing)
        {
            if (_points.Count > 0)
            {
                _file ??= new WriteIntentFile(_path, _diskBytes, RegionBytes, _wanted.Length);
                _thread ??= StartThread();
            }
        }
    }

    /// <summary>The standby has everything up to a point: changes with no higher stamp need not be known.</summary>
    internal void Acknowledge(ulong stamp, ReplicaPoint point)
    {
        lock (_lock)
        {
            _ackedStamp = stamp;
            _ackedPoint = point;
        }
    }

    /// <summary>
    /// Nothing of what a process before left here is true any more: the disk is another one, or is a standby's that is
    /// complete. Before the first <see cref="Begin"/>.
    /// </summary>
    /// <exception cref="IOException">The host refuses.</exception>
    public void Forget()
    {
        lock (_lock)
        {
            Check.That(_file is null);
            _points.Clear();
            Array.Clear(_wanted);
            Array.Clear(_durable);
            WriteIntentFile.Delete(_path);
        }
    }

    /// <summary>What may differ, in order.</summary>
    /// <param name="disk">Number of the disk.</param>
    /// <param name="countMax">Most ranges wanted; with less of them, they are longer.</param>
    internal List<DiskRange> Ranges(ushort disk, int countMax)
    {
        lock (_lock)
        {
            List<DiskRange> ranges;
            long grain = 1;
            do
            {
                ranges = Ranges(disk, grain);
                grain *= 2;
            }
            while (ranges.Count > countMax);
            return ranges;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_isClosing)
            {
                return;
            }

            _isClosing = true;
            _ = _wake.Set();
        }

        _thread?.Join();
        _file?.Dispose();
        _wake.Dispose();
    }

    private List<DiskRange> Ranges(ushort disk, long grain)
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

    private Thread StartThread()
    {
        var thread = new Thread(Run) { Name = "write-intent", IsBackground = true };
        thread.Start();
        return thread;
    }

    private void Run()
    {
        bool isLast = false;
        while (!isLast)
        {
            bool isWoken = _wake.WaitOne(TouchMillis);
            lock (_lock)
            {
                isLast = _isClosing;
            }

            try
            {
                lock (_storing)
                {
                    if (isWoken)
                    {
                        Store();
                    }
                    else
                    {
                        _file!.Touch(); // rule 44
                    }
                }
            }
            catch (IOException)
            {
                lock (_lock)
                {
                    _hasFailed |= isWoken;
                }
            }

            _onPrepared();
        }
    }

    private void Store()
    {
        ReplicaPoint[] points;
        lock (_lock)
        {
            DropAcknowledged();
            _wanted.CopyTo(_stored, 0);
            points = [.. _points];
        }

        _file!.Store(points, _stored);
        lock (_lock)
        {
            _stored.CopyTo(_durable, 0);
        }
    }

    /// <summary>
    /// Who writes to a region stamps its change before it asks here, so either the stamp is seen, or it asks afterwards
    /// and finds the record gone.
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
            if (isRecorded && !Changes.IsChanged(region * RegionBytes, RegionBytes, _ackedStamp))
            {
                _wanted[region >> 6] &= ~(1ul << (int)(region & 63));
                _durable[region >> 6] &= ~(1ul << (int)(region & 63));
            }
        }
    }
}
