using System;
using Hypervisor.Replication.Failover;

namespace Hypervisor.Simulation;

/// <summary>One record, compare-and-swap; slow, away, or forgetful about its answers.</summary>
internal sealed class SimWitness(World world)
{
    private long _awayUntil;

    /// <summary>The record.</summary>
    public WitnessRecord? Record { get; private set; }

    public void GoAway(long nanos) => _awayUntil = Math.Max(_awayUntil, world.Now + nanos);

    /// <summary>Takes a request; <paramref name="answer"/> is called on the asking node, or never.</summary>
    public void Ask(SimNode node, WitnessRequest request, Action<WitnessAnswer> answer)
    {
        int life = node.Life;
        bool isAway = world.Now < _awayUntil;
        if (isAway && world.Prng.OneIn(2))
        {
            node.Post(world.Prng.Micros(100, 3000), () => answer(new(request.Id, WitnessOutcome.Unreachable, null)));
            return;
        }

        // A request that is on its way reaches the witness later, even when nobody waits for the answer any more.
        long delay = isAway ? _awayUntil - world.Now + world.Prng.Micros(50, 20_000) : world.Prng.Micros(50, 2000);
        world.At(delay, () =>
        {
            WitnessOutcome outcome = Perform(request);
            if (world.IsTracing && request.Desired is not null)
            {
                world.Trace("witness", $"{outcome} for {node.Name}: {Record}");
            }

            WitnessRecord? current = Record;
            if (life == node.Life && (!isAway || world.Prng.OneIn(2)))
            {
                node.Post(world.Prng.Micros(50, 2000), () => answer(new(request.Id, outcome, current)));
            }
        });
    }

    private WitnessOutcome Perform(in WitnessRequest request)
    {
        if (request.Desired is null)
        {
            return WitnessOutcome.Done;
        }

        if (!Equals(Record, request.Expected))
        {
            return WitnessOutcome.Conflict;
        }

        byte[] bytes = new byte[WitnessRecord.Bytes];
        request.Desired.Write(bytes);
        Record = WitnessRecord.Read(bytes);
        return WitnessOutcome.Done;
    }
}
