using System;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <summary>Another primary that tries the same standby: it must be refused (rules 28, 33).</summary>
internal sealed class Impostor : SimNode, ILinkEnd
{
    public Impostor(Universe universe)
        : base(universe.World, "impostor")
    {
        BeUp();
        SimLink link = universe.Connect(this);
        PrimaryOptions options = universe.Settings.Primary;
        // While the standby is free, it refuses only what does not fit.
        bool isBusy = universe.Standby.Core.State != StandbyState.Idle;
        var hello = new HelloMessage
        {
            Node = new Guid("dddddddd-0000-0000-0000-000000000004"),
            Generation = 0, // older than any that a busy standby has seen, should it be free again by then
            LeaseNanos = options.LeaseNanos,
            EpochsInFlightMax = 1,
            Machine = isBusy ? options.Machine : options.Machine with { RamBytes = 4711 },
            Incarnation = 4711,
        };
        link.Send(this, hello);
    }

    protected override long NextDeadline => long.MaxValue;

    public void OnFrame(SimLink link, Message message)
    {
        if (message is WelcomeMessage)
        {
            throw new RuleViolationException(28, "a second primary was welcome");
        }
    }

    public void OnLost(SimLink link, LinkLoss loss, string reason)
    {
    }

    protected override void Tick()
    {
    }
}
