using System.Collections.Generic;

namespace Hypervisor.Simulation;

/// <summary>Everything of one run: two nodes, what is between and around them.</summary>
internal sealed class Universe
{
    private int _links;

    public Universe(World world, Extras extras = Extras.None)
    {
        World = world;
        Extras = extras;
        Settings = new Settings(world.Prng);
        Witness = new SimWitness(world);
        Outside = new Outside(world, extras.HasFlag(Extras.ClockJumps));
        Primary = new PrimaryNode(this);
        Standby = new StandbyNode(this);
    }

    public World World { get; }

    public Extras Extras { get; }

    public Settings Settings { get; }

    public SimWitness Witness { get; }

    public Outside Outside { get; }

    public EpochHistory History { get; } = new();

    public PrimaryNode Primary { get; }

    public StandbyNode Standby { get; }

    /// <summary>Until when the network lets no new connection through.</summary>
    public long NetworkDownUntil { get; set; }

    /// <summary>How many bytes of the next copies get through before each of their links is cut.</summary>
    public Queue<int> CutsToCome { get; } = new();

    public bool CanConnect => Standby.IsUp && World.Now >= NetworkDownUntil;

    public SimLink Connect(SimNode from)
    {
        var link = new SimLink(World, ++_links, from, Standby);
        if (from == Primary && CutsToCome.TryDequeue(out int bytes))
        {
            link.CutAfter(Standby, bytes);
        }

        Standby.Attach(link);
        return link;
    }

    public SimDisk[] NewDisks(CrashPoint crash)
    {
        SimDisk[] disks = new SimDisk[ToyMachine.Disks];
        for (int i = 0; i < disks.Length; i++)
        {
            disks[i] = new SimDisk(World, ToyMachine.SectorsPerDisk * SimDisk.SectorBytes, crash);
        }

        return disks;
    }
}
