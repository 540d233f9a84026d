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
        Primary = new PrimaryNode(this, new SimHost(world, "primary", Settings.Primary.Node));
        Standby = new StandbyNode(this, new SimHost(world, "standby", Settings.Standby.Node));
    }

    public World World { get; }

    public Extras Extras { get; }

    public Settings Settings { get; }

    public SimWitness Witness { get; }

    public Outside Outside { get; }

    public EpochHistory History { get; } = new();

    public PrimaryNode Primary { get; private set; }

    public StandbyNode Standby { get; private set; }

    /// <summary>Former primaries whose copies were finished by what their logs say.</summary>
    public int Returned { get; set; }

    public bool HasReturns => Extras.HasFlag(Extras.Returns);

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

    /// <summary>
    /// The side that took over looks for a standby, and the former primary comes back as that, some time later.
    /// </summary>
    public void TrySwapRoles()
    {
        if (!Standby.IsUp || !Standby.IsLive || Standby.IsHung)
        {
            return;
        }

        if (Primary.IsUp)
        {
            Primary.Crash(isPowerLost: World.Prng.OneIn(2));
        }

        World.Trace("roles", "change");
        SimHost returning = Primary.Host;
        Primary = new PrimaryNode(this, Standby.Host);
        Primary.Succeed(Standby);
        Standby = new StandbyNode(this, returning);
        StandbyNode standby = Standby;
        World.At(World.Prng.Micros(1000, 30_000), () =>
        {
            if (standby == Standby && !standby.IsUp)
            {
                standby.Start();
            }
        });
    }
}
