using System;
using System.Diagnostics;
using System.IO;
using System.Threading;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Session;
using Xunit;

namespace Hypervisor.Tests.Replication.Session;

public sealed class FileWitnessTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("hv-witness-").FullName;
    private readonly Guid _pair = Guid.NewGuid();

    private string RecordPath => Path.Combine(_folder, "pair");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Swap_needs_the_record_that_is_there()
    {
        IWitness witness = NewWitness();
        WitnessRecord first = Record(1);

        Assert.Equal(new WitnessAnswer(1, WitnessOutcome.Done, null), witness.Ask(new WitnessRequest(1, null, null)));
        Assert.Equal(WitnessOutcome.Done, witness.Ask(new WitnessRequest(2, null, first)).Outcome);
        Assert.Equal(
            new WitnessAnswer(3, WitnessOutcome.Conflict, first), witness.Ask(new WitnessRequest(3, null, Record(2))));
        Assert.Equal(WitnessOutcome.Done, witness.Ask(new WitnessRequest(4, first, Record(2))).Outcome);
        Assert.Equal(Record(2), ((IWitness)NewWitness()).Ask(new WitnessRequest(5, null, null)).Current);
    }

    [Fact]
    public void Of_many_that_swap_at_a_time_one_wins_each_round()
    {
        const int Racers = 4, Rounds = 25;
        int wins = 0;
        var threads = new Thread[Racers];
        for (int i = 0; i < Racers; i++)
        {
            threads[i] = new Thread(() =>
            {
                // Handles of its own: the lock is between handles, as between processes.
                IWitness witness = NewWitness();
                for (ulong round = 1; round <= Rounds; round++)
                {
                    WitnessRecord? expected = round == 1 ? null : Record(round - 1);
                    WitnessAnswer answer;
                    do
                    {
                        answer = witness.Ask(new WitnessRequest(round, expected, Record(round)));
                    }
                    while (answer.Outcome == WitnessOutcome.Unreachable);

                    _ = answer.Outcome == WitnessOutcome.Done ? Interlocked.Increment(ref wins) : 0;
                }
            });
            threads[i].Start();
        }

        Array.ForEach(threads, thread => thread.Join());
        Assert.Equal(Rounds, wins);
    }

    [Fact]
    public void Lock_of_another_process_makes_it_unreachable_until_it_goes()
    {
        string[] holdIt = [RecordPath + ".lock", "sh", "-c", "echo held; read x"];
        using Process other = Process.Start(new ProcessStartInfo("flock", holdIt)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        Assert.Equal("held", other.StandardOutput.ReadLine());
        IWitness witness = new FileWitness(RecordPath, new LeapingClock());

        Assert.Equal(WitnessOutcome.Unreachable, witness.Ask(new WitnessRequest(1, null, Record(1))).Outcome);
        Assert.False(File.Exists(RecordPath));

        other.StandardInput.WriteLine();
        other.WaitForExit();
        Assert.Equal(WitnessOutcome.Done, witness.Ask(new WitnessRequest(2, null, Record(1))).Outcome);
    }

    [Fact]
    public void Damaged_record_and_missing_folder_are_unreachable_not_guessed()
    {
        File.WriteAllBytes(RecordPath, new byte[WitnessRecord.Bytes]);
        var damaged = new FileWitness(RecordPath, new HostClock());
        var missing = new FileWitness(Path.Combine(_folder, "none", "pair"), new HostClock());

        Assert.Equal(WitnessOutcome.Unreachable, ((IWitness)damaged).Ask(new WitnessRequest(1, null, null)).Outcome);
        Assert.Contains("magic", damaged.LastError, StringComparison.Ordinal);
        Assert.Equal(
            WitnessOutcome.Unreachable, ((IWitness)missing).Ask(new WitnessRequest(1, null, Record(1))).Outcome);
    }

    private FileWitness NewWitness() => new(RecordPath, new HostClock());

    private WitnessRecord Record(ulong revision)
        => new(_pair, revision, 1, Guid.Empty, Guid.Empty, 0, false, 0, WitnessPhase.Running);

    /// <summary>Every look at it is a tenth of a second later.</summary>
    private sealed class LeapingClock : IHostClock
    {
        private long _nanos;

        public long NowNanos => _nanos += 100_000_000;
    }
}
