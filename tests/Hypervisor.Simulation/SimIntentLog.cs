using System;
using Hypervisor.Backends.Block;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <summary>
/// The product's write-intent regions and slots over a file that a crash leaves as it finds it, also in the middle of a
/// slot. Regions of four sectors.
/// </summary>
internal sealed class SimIntentLog(World world, SimDisk disk)
{
    private const int RegionBytes = 4 * SimDisk.SectorBytes;

    private byte[]? _file;
    private int _diskBytes; // when the process started
    private Guid _boot;
    private SimNode? _node;
    private ulong _revision;
    private ulong[] _stored = [];
    private ReplicaPoint[] _points = [];
    private bool _isActive;
    private bool _isStoring;

    public WriteIntentRegions Regions { get; private set; } = null!;

    public ChangeMap Changes => Regions.Changes;

    /// <summary>A process starts.</summary>
    public void Open(SimNode node, Guid boot)
    {
        _node = node;
        _boot = boot;
        _diskBytes = (int)disk.LengthBytes;
        _isActive = _isStoring = false;
        Regions = new WriteIntentRegions(_diskBytes, RegionBytes, new ChangeMap(_diskBytes, SimDisk.SectorBytes));
        _stored = new ulong[Regions.Words];
        _revision = 0;
        if (_file is not null && _file.Length == WriteIntentFile.Length(SlotBytes)
            && WriteIntentFile.Newest(_file, _diskBytes, RegionBytes, Regions.Words, boot) is { } slot)
        {
            _revision = slot.Revision;
            Regions.Load(slot);
        }
    }

    /// <summary>The role changes, the process stays.</summary>
    public void Adopt(SimNode node) => _node = node;

    /// <summary>As <see cref="WriteIntentLog.Continue"/>.</summary>
    public void Continue() => _isActive |= Regions.Points.Count > 0;

    /// <summary>As <see cref="WriteIntentLog.Begin"/>.</summary>
    public void Begin(ReplicaPoint point)
    {
        _isActive = true;
        if (_file?.Length != WriteIntentFile.Length(SlotBytes))
        {
            _file = new byte[WriteIntentFile.Length(SlotBytes)];
        }

        Regions.Begin(point);
        _points = Regions.Take(_stored);
        Store(SlotBytes);
        Regions.OnStored(_stored);
    }

    /// <summary>As <see cref="WriteIntentLog.Enter"/>.</summary>
    public void Enter(long offset, long length)
    {
        Regions.Enter(offset, length);
        _ = !_isActive || Regions.Want(offset, length);
    }

    /// <summary>Whether a change that was entered may reach the disk now; if not, it may soon.</summary>
    public bool IsPrepared(long offset, long length)
    {
        if (!_isActive || Regions.Want(offset, length))
        {
            return true;
        }

        if (!_isStoring) // else it asks again when that is over
        {
            BeginStore();
        }

        return false;
    }

    public void Forget()
    {
        Regions.Forget();
        _file = null;
    }

    /// <summary>The process dies: what it stores is on the disk in part.</summary>
    public void Crash()
    {
        if (_isStoring)
        {
            Store(world.Prng.Next(0, SlotBytes + 1));
        }

        _isStoring = _isActive = false;
    }

    private int SlotBytes => WriteIntentSlot.Bytes(Regions.Words);

    private void BeginStore()
    {
        _isStoring = true;
        _points = Regions.Take(_stored);
        _node!.Post(world.Prng.Micros(20, 2000), () =>
        {
            Store(SlotBytes);
            Regions.OnStored(_stored);
            _isStoring = false;
        });
    }

    private void Store(int count)
    {
        byte[] slot = new byte[SlotBytes];
        _revision++;
        new WriteIntentSlot(_revision, _points, _stored, _boot).Write(slot, _diskBytes, RegionBytes);
        slot.AsSpan(0, count).CopyTo(_file.AsSpan((int)WriteIntentFile.OffsetOf(_revision, slot.Length)));
    }
}
