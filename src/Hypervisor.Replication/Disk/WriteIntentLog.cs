using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Core;
using Hypervisor.Core.Host;
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
    private const long RegionBytesMin = 1 << 20;
    private const int RegionsMax = 1 << 16; // 8 KiB of bits: one write of the host's disk
    private const int TouchMillis = 500;

    private readonly string _path;
    private readonly long _diskBytes;
    private readonly Guid _boot;
    private readonly Lock _storing = new(); // held from what is to be stored until it is: versions keep their order
    private readonly Lock _telling = new(); // held while those who wait go on, and by who must not see them move
    private readonly Lock _lock = new();    // inside both; protects the fields below
    private readonly WriteIntentRegions _regions;
    private readonly ulong[] _stored;    // by whoever is storing
    private readonly AutoResetEvent _wake = new(false);
    private WriteIntentFile? _file;
    private Thread? _thread;
    private Action _onPrepared = static () => { };
    private bool _hasFailed;
    private bool _isClosing;

    /// <summary>Reads what a process before left behind. Nothing is logged before a pair begins.</summary>
    /// <param name="path">The log; made when it is needed.</param>
    /// <param name="diskBytes">Size of the disk.</param>
    /// <exception cref="IOException">It cannot be read.</exception>
    public WriteIntentLog(string path, long diskBytes)
        : this(path, diskBytes, HostBoot.Id)
    {
    }

    /// <summary>As above, in some life of the host.</summary>
    internal WriteIntentLog(string path, long diskBytes, Guid boot)
    {
        _path = path;
        _boot = boot;
        _diskBytes = diskBytes;
        long regionBytes = RegionBytesMin;
        while ((diskBytes + regionBytes - 1) / regionBytes > RegionsMax)
        {
            regionBytes *= 2;
        }

        _regions = new WriteIntentRegions(diskBytes, regionBytes, new ChangeMap(diskBytes));
        _stored = new ulong[_regions.Words];
        if (WriteIntentFile.Load(path, diskBytes, RegionBytes, _regions.Words, _boot) is { } slot)
        {
            _regions.Load(slot);
        }
    }

    /// <summary>What changed when: of this process exactly, of the ones before as far as the log says.</summary>
    public ChangeMap Changes => _regions.Changes;

    /// <summary>Grain of the log, in bytes.</summary>
    public long RegionBytes => _regions.RegionBytes;

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
                return [.. _regions.Points];
            }
        }
    }

    /// <inheritdoc/>
    public void Enter(long offsetBytes, long lengthBytes)
    {
        lock (_lock)
        {
            _regions.Enter(offsetBytes, lengthBytes);
            _ = _file is null || _regions.Want(offsetBytes, lengthBytes); // so that one store is for all who wait
        }
    }

    /// <inheritdoc/>
    public bool? IsPrepared(long offsetBytes, long lengthBytes)
    {
        lock (_lock)
        {
            if (_file is null)
            {
                return true; // no pair: nobody is going to ask
            }

            if (_regions.Want(offsetBytes, lengthBytes) && !_hasFailed)
            {
                return true;
            }

            _ = _wake.Set();
            return _hasFailed ? false : null;
        }
    }

    /// <inheritdoc/>
    public void Leave(long offsetBytes, long lengthBytes)
    {
        lock (_lock)
        {
            _regions.Leave(offsetBytes, lengthBytes);
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
                _file ??= new WriteIntentFile(_path, _diskBytes, RegionBytes, _regions.Words, _boot);
                _regions.Begin(point);
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
            if (_regions.Points.Count > 0)
            {
                _file ??= new WriteIntentFile(_path, _diskBytes, RegionBytes, _regions.Words, _boot);
                _thread ??= StartThread();
            }
        }
    }

    /// <summary>
    /// Nothing that waits for the log goes on until <see cref="GoOn"/>, by the same thread: a guest that stands still
    /// for a cut must not change its disks. Waits for what is going on just now.
    /// </summary>
    internal void HoldBack() => _telling.Enter();

    /// <summary>The end of <see cref="HoldBack"/>.</summary>
    internal void GoOn() => _telling.Exit();

    /// <summary>The standby has everything up to a point: changes with no higher stamp need not be known.</summary>
    internal void Acknowledge(ulong stamp, ReplicaPoint point)
    {
        lock (_lock)
        {
            _regions.Acknowledge(stamp, point);
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
            _regions.Forget();
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
            return _regions.Ranges(disk, countMax);
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

            lock (_telling)
            {
                _onPrepared();
            }
        }
    }

    private void Store()
    {
        ReplicaPoint[] points;
        lock (_lock)
        {
            points = _regions.Take(_stored);
        }

        _file!.Store(points, _stored);
        lock (_lock)
        {
            _regions.OnStored(_stored);
        }
    }
}
