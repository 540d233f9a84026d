using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <summary>
/// A second connection of the primary itself, as a process has that connects again before it noticed what became of the
/// first: a standby that is busy must not let go of the first for it (rule 28).
/// </summary>
internal sealed class Twin : SimNode, ILinkEnd
{
    private readonly bool _isLate;

    public Twin(Universe universe)
        : base(universe.World, "twin")
    {
        BeUp();
        _isLate = universe.Standby.Core.State is StandbyState.Protecting or StandbyState.TakingOver
            or StandbyState.Deciding or StandbyState.Live;
        SimLink link = universe.Connect(this);
        PrimaryOptions options = universe.Primary.Options;
        link.Send(this, new HelloMessage
        {
            Node = options.Node,
            Generation = _isLate ? 0 : universe.Primary.Core.Status(0).Generation, // 0: it may be free by then
            LeaseNanos = options.LeaseNanos,
            EpochsInFlightMax = 1,
            Machine = options.Machine,
            Incarnation = 4712,
        });
        Post(World.Prng.Micros(5000, 60_000), () => link.Close(this));
    }

    protected override long NextDeadline => long.MaxValue;

    public void OnFrame(SimLink link, Message message)
    {
        if (_isLate && message is WelcomeMessage)
        {
            throw new RuleViolationException(28, "a second connection was welcome");
        }
    }

    public void OnLost(SimLink link, LinkLoss loss, string reason)
    {
    }

    protected override void Tick()
    {
    }
}
