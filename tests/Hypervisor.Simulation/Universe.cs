namespace Hypervisor.Simulation;

/// <summary>Everything of one run: two nodes, what is between and around them.</summary>
internal sealed class Universe
{
    private int _links;

    public Universe(World world)
    {
        World = world;
        Settings = new Settings(world.Prng);
        Witness = new SimWitness(world);
        Outside = new Outside(world);
        Primary = new PrimaryNode(this);
        Standby = new StandbyNode(this);
    }

    public World World { get; }

    public Settings Settings { get; }

    public SimWitness Witness { get; }

    public Outside Outside { get; }

    public EpochHistory History { get; } = new();

    public PrimaryNode Primary { get; }

    public StandbyNode Standby { get; }

    /// <summary>Until when the network lets no new connection through.</summary>
    public long NetworkDownUntil { get; set; }

    public bool CanConnect => Standby.IsUp && World.Now >= NetworkDownUntil;

    public SimLink Connect(SimNode from)
    {
        var link = new SimLink(World, ++_links, from, Standby);
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
