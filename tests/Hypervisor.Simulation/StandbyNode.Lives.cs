using System;
using System.IO;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <content>How a standby begins, and how it goes live.</content>
internal sealed partial class StandbyNode
{
    /// <summary>Somebody else runs the guest on this host from here on.</summary>
    public void Retire()
    {
        _guest.Stop();
        BeDown();
    }

    public void Start()
    {
        BeUp();
        _links.Clear();
        _work.Clear();
        _underway = null;
        _flipsStaged = false;
        _journal = new EpochJournal(_stores[0], _stores[1], _disks, _universe.Settings.SegmentBytesMax);
        ulong epoch = 0;
        try
        {
            (_, epoch) = _journal.Recover();
        }
        catch (IOException e) when (Host.IsDoubtful)
        {
            World.Trace(Name, $"does not start: {e.Message}");
            BeDown();
        }

        Array.Fill(_ram, (byte)0xA5); // of a process that is gone
        _core = new StandbyCore(_universe.Settings.Standby with
        {
            Node = Host.Node,
            Machine = Host.IdentityOf(_universe.Settings.Standby.Machine),
        }, this);
        Restore(epoch);
        _guest = new GuestHost(World, this, _disks, isTaggedAtCompletion: !_universe.HasReturns)
        {
            OnPrint = (offset, bytes) => Emit(offset, bytes),
            OnTagged = request => Changes.Mark(request),
        };
    }

    void IStandbyActions.GoLive(StagedEpoch epoch, WitnessRecord won)
    {
        ulong generation = won.Generation;
        World.Trace(Name, $"goes live from epoch {epoch.Epoch} in generation {generation}");
        WitnessRecord? record = _universe.Witness.Record;
        if (record is null || record.Generation != generation || record.Runner != Host.Node)
        {
            throw new RuleViolationException(
                27, $"{Name} goes live in generation {generation}, the witness has {record}");
        }

        SwitchOverCheck.AtGoLive(_universe, StateOf(epoch));
        _isLive = true;
        Won = won;
        WonAt = new ReplicaPoint(_core.Incarnation, epoch.Epoch);
        Host.ForgetErrors();
        CheckEpoch(epoch.Epoch, epoch);
        Changes.LookAtSizes(_disks); // the product's filters do
        _guest.Machine.Load(StateOf(epoch), _ram);
        _universe.Outside.CheckImplied(Name, epoch.Epoch, _guest.Machine.ConsoleBytes);
        if (!Host.IsDoubtful)
        {
            _universe.Outside.CheckRecords(Name, _disks[0].Bytes);
            _guest.CheckBelieved(Name);
        }

        _universe.Outside.GoLive(Name, generation);
        foreach ((long offset, byte[] bytes) in _repeated)
        {
            Emit(offset, bytes);
        }

        if (_universe.Outside.SeenBytes != _guest.Machine.ConsoleBytes)
        {
            throw new RuleViolationException(
                5,
                $"{_universe.Outside.SeenBytes} bytes are out at takeover, "
                + $"the guest printed {_guest.Machine.ConsoleBytes}");
        }

        _guest.Run();
        _guest.Reissue();
    }
}
