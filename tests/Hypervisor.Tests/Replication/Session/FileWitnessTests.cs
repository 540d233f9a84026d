using System;
using System.Diagnostics;
using System.IO;
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
    public void Rule_27_swap_needs_the_record_that_is_there()
    {
        WitnessContract.CheckSwaps(NewWitness(), _pair);

        Assert.Equal(Record(2), ((IWitness)NewWitness()).Ask(new WitnessRequest(7, null, null)).Current);
    }

    // Each with handles of its own: the lock is between handles, as between processes.
    [Fact]
    public void Of_many_that_swap_at_a_time_one_wins_each_round()
        => Assert.Equal(WitnessContract.Rounds, WitnessContract.CountWins(NewWitness, _pair));

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
    public void Rule_27_damaged_record_and_missing_folder_are_unreachable_not_guessed()
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

    private WitnessRecord Record(ulong revision) => WitnessContract.Record(_pair, revision);

    /// <summary>Every look at it is a tenth of a second later.</summary>
    private sealed class LeapingClock : IHostClock
    {
        private long _nanos;

        public long NowNanos => _nanos += 100_000_000;
    }
}
