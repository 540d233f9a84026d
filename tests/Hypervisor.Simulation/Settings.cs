using System;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <summary>Settings of both sides for one run, drawn from its seed.</summary>
internal sealed class Settings
{
    internal static readonly Guid s_primary = new("aaaaaaaa-0000-0000-0000-000000000001");
    internal static readonly Guid s_standby = new("bbbbbbbb-0000-0000-0000-000000000002");

    public Settings(Prng prng)
    {
        long takeover = prng.Micros(30_000, 90_000);
        long lease = takeover * 6 / 10;
        Guid vm = new("cccccccc-0000-0000-0000-000000000003");
        DiskIdentity disk = new("d", ToyMachine.SectorsPerDisk * SimDisk.SectorBytes);
        MachineIdentity machine = new(
            vm, vm, "toy", "toy", ToyMachine.Pages * ToyMachine.PageBytes, [disk, disk], [new SectionFormat(1, 0, 1)]);
        Primary = new PrimaryOptions
        {
            Node = s_primary,
            Machine = machine,
            EpochNanos = prng.Micros(2000, 12_000),
            OutputEpochNanos = prng.Micros(500, 2000),
            Pace = prng.OneIn(3) ? Pace(prng) : null,
            EpochsInFlightMax = prng.Next(1, 5),
            HeartbeatNanos = lease / 4,
            LeaseNanos = lease,
            ProgressNanos = lease + prng.Micros(10_000, 150_000),
            SyncNanos = 400_000_000,
            WitnessRetryNanos = prng.Micros(2000, 20_000),
            OnStandbyLost = prng.Next(0, 8) switch
            {
                0 => StandbyLossPolicy.Wait,
                1 => StandbyLossPolicy.Stop,
                _ => StandbyLossPolicy.Alone,
            },
            OnWitnessLost = prng.OneIn(8) ? WitnessPolicy.Stop : WitnessPolicy.Wait,
        };
        Standby = new StandbyOptions
        {
            Node = s_standby,
            Machine = machine,
            TakeoverNanos = takeover,
            ProgressNanos = 150_000_000,
            WitnessRetryNanos = prng.Micros(2000, 20_000),
            StagedBytesMax = prng.OneIn(4) ? 3000 : 20_000,
            UnappliedEpochsMax = prng.Next(1, 6),
            IsAckDurable = !prng.OneIn(5),
            OnWitnessLost = prng.OneIn(8) ? WitnessPolicy.Stop : WitnessPolicy.Wait,
        };
        IsTaggedAtCompletion = prng.OneIn(2);
        SegmentBytesMax = prng.Next(500, 6000);
    }

    /// <summary>Budgets that a toy guest exceeds now and then.</summary>
    private static PaceOptions Pace(Prng prng) => new()
    {
        ShortestNanos = prng.Micros(100, 1000),
        LongestNanos = prng.Micros(5000, 30_000),
        MaxOutputLatencyNanos = prng.Micros(500, 2000),
        MaxPauseNanos = prng.Micros(100, 400),
        MaxStagingBytes = prng.OneIn(2) ? 0 : prng.Next(500, 5000),
    };

    public PrimaryOptions Primary { get; }

    public StandbyOptions Standby { get; }

    /// <summary>Whether a disk write gets its tag when it completes (or when it is submitted).</summary>
    public bool IsTaggedAtCompletion { get; }

    public long SegmentBytesMax { get; }
}
