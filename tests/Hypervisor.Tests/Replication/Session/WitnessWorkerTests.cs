using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Session;
using Xunit;

namespace Hypervisor.Tests.Replication.Session;

public sealed class WitnessWorkerTests
{
    [Fact]
    public void Witness_that_fails_is_told_once_and_so_is_its_return()
    {
        var told = new List<string>();
        using var answers = new BlockingCollection<WitnessAnswer>();
        using (var worker = new WitnessWorker(new Moody("one", "one", "two", "", ""), answers.Add, told.Add))
        {
            for (ulong id = 1; id <= 5; id++)
            {
                worker.Ask(new WitnessRequest(id, null, null));
                Assert.True(answers.TryTake(out WitnessAnswer answer, TimeSpan.FromSeconds(30)));
                Assert.Equal(id, answer.Id);
            }
        }

        Assert.Equal(["not answered: one", "not answered: two", "the witness answers again"], told);
    }

    /// <summary>Fails with these words, or answers where they are empty.</summary>
    private sealed class Moody(params string[] failures) : IWitness
    {
        private int _asked;

        public string LastError { get; private set; } = "";

        public WitnessAnswer Ask(in WitnessRequest request)
        {
            string failure = failures[_asked++];
            if (failure.Length == 0)
            {
                return new WitnessAnswer(request.Id, WitnessOutcome.Done, null); // the older words stay
            }

            LastError = failure;
            return new WitnessAnswer(request.Id, WitnessOutcome.Unreachable, null);
        }
    }
}
