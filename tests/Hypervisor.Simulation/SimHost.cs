using System;
using System.Collections;
using System.Collections.Generic;
using System.Linq;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <summary>What of a host survives its processes, whichever role they have.</summary>
internal sealed class SimHost
{
    private const int DiskBytes = ToyMachine.SectorsPerDisk * SimDisk.SectorBytes;
    private const string DiskName = "d";

    private ulong _boots = 1;

    public SimHost(World world, string name, Guid node)
    {
        Name = name;
        Node = node;
        Disks = [.. Enumerable.Range(0, ToyMachine.Disks).Select(_ => new SimDisk(world, DiskBytes, Crash))];
        Stores = [new SimJournalStore(world, Crash), new SimJournalStore(world, Crash)];
        Intents = [.. Disks.Select(disk => new SimIntentLog(world, disk))];
    }

    public string Name { get; }

    /// <summary>Who it is at the witness.</summary>
    public Guid Node { get; }

    public CrashPoint Crash { get; } = new();

    public SimDisk[] Disks { get; }

    public SimJournalStore[] Stores { get; }

    public SimIntentLog[] Intents { get; }

    /// <summary>Generation in which the guest ran here, as the standby's mark says; 0: it never did.</summary>
    public ulong PromotedGeneration { get; set; }

    /// <summary>
    /// Disks that lie lost power: what they hold is that of no epoch, and nothing says so but a comparison.
    /// </summary>
    public bool IsDoubtful { get; set; }

    /// <summary>A machine with the disks of this host, in the sizes of the moment.</summary>
    public MachineIdentity IdentityOf(MachineIdentity machine) => machine with { Disks = new Sizes(Disks) };

    /// <summary>A process starts: what it knows of changes.</summary>
    public ToyChanges OpenIntents(SimNode node)
    {
        foreach (SimIntentLog log in Intents)
        {
            log.Open(node, new Guid((int)_boots, 0, 0, new byte[8]));
        }

        return new ToyChanges([.. Intents.Select(log => log.Changes)]);
    }

    /// <summary>Lives of a pair of which all of the logs know what changed since.</summary>
    public IEnumerable<ReplicaPoint> KnownPoints()
        => WriteIntents.Common([.. Intents.Select(log => log.Regions.Points)]);

    /// <summary>What may have changed since.</summary>
    public IReadOnlyList<DiskRange> Doubtful()
        => [.. Intents.SelectMany((log, i) => log.Regions.Ranges((ushort)i, WelcomeMessage.DoubtfulMax))];

    public void ForgetIntents()
    {
        foreach (SimIntentLog log in Intents)
        {
            log.Forget();
        }
    }

    /// <summary>Its disks and its journal lie about flushes.</summary>
    public void Lie()
    {
        foreach (SimDisk disk in Disks)
        {
            disk.IsLying = true;
        }

        foreach (SimJournalStore store in Stores)
        {
            store.IsLying = true;
        }
    }

    public void LosePower()
    {
        _boots++;
        foreach (SimDisk disk in Disks)
        {
            disk.LosePower();
        }

        foreach (SimJournalStore store in Stores)
        {
            store.LosePower();
        }

        IsDoubtful |= Disks[0].IsLying;
    }

    public void ForgetErrors()
    {
        foreach (SimDisk disk in Disks)
        {
            disk.FailsNext = false;
        }

        foreach (SimJournalStore store in Stores)
        {
            store.FailsNext = false;
        }
    }

    private sealed class Sizes(SimDisk[] disks) : IReadOnlyList<DiskIdentity>
    {
        public int Count => disks.Length;

        public DiskIdentity this[int index] => new(DiskName, disks[index].LengthBytes);

        public IEnumerator<DiskIdentity> GetEnumerator()
            => disks.Select(disk => new DiskIdentity(DiskName, disk.LengthBytes)).GetEnumerator();

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
