using System;
using System.Threading;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Session;
using Xunit;

namespace Hypervisor.Tests.Replication.Session;

/// <summary>What every witness promises, wherever it keeps the record.</summary>
internal static class WitnessContract
{
    /// <summary>Rounds of <see cref="CountWins"/>: in each, one of them wins.</summary>
    internal const int Rounds = 25;

    private const int Racers = 4;

    /// <summary>Swaps need the record that is there; <see cref="Record"/> 2 is there afterwards.</summary>
    /// <param name="witness">One without a record.</param>
    /// <param name="pair">Of the records.</param>
    internal static void CheckSwaps(IWitness witness, Guid pair)
    {
        WitnessRecord first = Record(pair, 1), second = Record(pair, 2);

        Assert.Equal(new WitnessAnswer(1, WitnessOutcome.Done, null), witness.Ask(new WitnessRequest(1, null, null)));
        Assert.Equal(WitnessOutcome.Done, witness.Ask(new WitnessRequest(2, null, first)).Outcome);
        Assert.Equal(
            new WitnessAnswer(3, WitnessOutcome.Conflict, first), witness.Ask(new WitnessRequest(3, null, second)));
        Assert.Equal(
            new WitnessAnswer(4, WitnessOutcome.Conflict, first),
            witness.Ask(new WitnessRequest(4, Record(pair, 5), second)));
        Assert.Equal(WitnessOutcome.Done, witness.Ask(new WitnessRequest(5, first, second)).Outcome);
        Assert.Equal(second, witness.Ask(new WitnessRequest(6, null, null)).Current);
    }

    /// <summary>Some at a time try the same swaps, <see cref="Rounds"/> one after the other.</summary>
    /// <param name="open">Opens the same witness for each of them, as a process of its own would.</param>
    /// <param name="pair">Of the records.</param>
    /// <returns>How many swaps were done.</returns>
    internal static int CountWins(Func<Witness> open, Guid pair)
    {
        int wins = 0;
        var threads = new Thread[Racers];
        for (int i = 0; i < threads.Length; i++)
        {
            threads[i] = new Thread(() =>
            {
                using Witness witness = open();
                for (ulong round = 1; round <= Rounds; round++)
                {
                    WitnessRecord? expected = round == 1 ? null : Record(pair, round - 1);
                    WitnessAnswer answer;
                    do
                    {
                        answer = ((IWitness)witness).Ask(new WitnessRequest(round, expected, Record(pair, round)));
                    }
                    while (answer.Outcome == WitnessOutcome.Unreachable);

                    _ = answer.Outcome == WitnessOutcome.Done ? Interlocked.Increment(ref wins) : 0;
                }
            });
            threads[i].Start();
        }

        Array.ForEach(threads, thread => thread.Join());
        return wins;
    }

    internal static WitnessRecord Record(Guid pair, ulong revision)
        => new(pair, revision, 1, pair, Guid.Empty, 0, false, 0, WitnessPhase.Running);
}
