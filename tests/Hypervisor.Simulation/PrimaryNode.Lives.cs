using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <content>How a primary begins, afresh or where a standby took over, and how it dies.</content>
internal sealed partial class PrimaryNode
{
    public void Start()
    {
        _changes = Host.OpenIntents(this);
        Begin();
        if (_universe.HasReturns)
        {
            foreach (SimIntentLog log in Host.Intents)
            {
                log.Continue();
            }

            foreach (ReplicaPoint point in Host.KnownPoints())
            {
                _core.Restore(point);
            }
        }

        Post(0, () => _core.Start(Clock));
    }

    /// <summary>The guest runs on this host already, in a process that was the standby until now.</summary>
    public void Succeed(StandbyNode live)
    {
        _changes = live.Changes;
        foreach (SimIntentLog log in Host.Intents)
        {
            log.Adopt(this);
        }

        byte[] state = live.Guest.Machine.Save();
        live.Retire();
        Begin();
        _guest.Machine.Load(state, live.Guest.Machine.Ram);
        _core.Succeed(live.Won, live.WonAt, Clock);
        _guest.Run();
        _guest.Reissue();
    }

    private bool IsTaggedAtCompletion => _universe.Settings.IsTaggedAtCompletion && !_universe.HasReturns;

    private void Begin()
    {
        BeUp();
        _outbox.Clear();
        _link = null;
        _copy = null;
        _isTagging = _isHolding = _isDropping = false;
        _core = new PrimaryCore(Options, this);
        _guest = new GuestHost(World, this, _disks, IsTaggedAtCompletion)
        {
            OnPrint = Print,
            OnTagged = Tag,
            OnSubmitted = request => Host.Intents[request.Disk].Enter(
                request.Sector * SimDisk.SectorBytes, request.Count * SimDisk.SectorBytes),
            MayChange = request => Host.Intents[request.Disk].IsPrepared(
                request.Sector * SimDisk.SectorBytes, request.Count * SimDisk.SectorBytes),
            OnReached = request => Host.Intents[request.Disk].Regions.Leave(
                request.Sector * SimDisk.SectorBytes, request.Count * SimDisk.SectorBytes),
            OnFailed = request =>
            {
                _changes.Mark(request); // the other side may have it, of an epoch that is committed meanwhile
                _core.OnFailure("simulated disk error", Clock);
            },
        };
        Post(World.Prng.Micros(1000, 5000), Connect);
    }

    public void Crash(bool isPowerLost)
    {
        World.Trace(Name, isPowerLost ? "loses power" : "dies");
        BeDown();
        _guest.Stop();
        Host.ForgetErrors();
        if (_universe.HasReturns)
        {
            foreach (SimIntentLog log in Host.Intents)
            {
                log.Crash();
            }

            if (isPowerLost)
            {
                Host.LosePower();
            }
        }

        if (_link is not null && isPowerLost)
        {
            _link.Vanish(this);
        }
        else
        {
            _link?.Close(this);
        }

        _link = null;
    }

    void IPrimaryActions.StartGuest(ulong generation)
    {
        World.Trace(Name, $"runs generation {generation}");
        _universe.Outside.GoLive(Name, generation);
        if (_universe.HasReturns)
        {
            _guest.Machine.Boot(_disks, generation);
        }
        else if (_hasStartedBefore)
        {
            foreach (SimDisk disk in _disks)
            {
                disk.WriteZeroes(0, disk.LengthBytes);
                disk.Flush();
            }
        }

        _guest.Machine.LookAtSizes(_disks);
        _universe.Outside.Restart(_guest.Machine.Record);
        _hasStartedBefore = true;
        _guest.Machine.Seed(World.Prng.Next());
        _guest.Run();
    }
}
