using System.Linq;
using Hypervisor.Backends.Block;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Wire;
using Xunit;

namespace Hypervisor.Tests.Replication.Epochs;

/// <summary>What a primary tells its pacer, and the reasons that it counts.</summary>
public sealed class PacedPrimaryTests
{
    [Fact]
    public void Paced_cut_comes_a_latency_after_the_first_byte_that_waits_and_says_so()
    {
        RecordedPrimary primary = new RecordedPrimary(pace: new PaceOptions()).Protect();
        primary.Now += 20_000_000;
        primary.Core.OnOutputWaiting(1, primary.Now);
        primary.Now += 4_999_999;
        primary.Core.OnTick(primary.Now);
        Assert.DoesNotContain("cut 1", primary.Log);

        primary.Now += 1;
        Assert.Equal(primary.Now, primary.Core.NextDeadlineNanos);
        primary.Core.OnTick(primary.Now);

        Assert.Contains("cut 1", primary.Log);
        Assert.Equal(CutReason.OutputWaiting, primary.Core.Cuts.Last);
    }

    [Fact]
    public void Paced_cut_comes_at_once_when_disk_writes_reach_the_staging_budget()
    {
        RecordedPrimary primary = new RecordedPrimary(pace: new PaceOptions { MaxStagingBytes = 50 }).Protect();
        primary.Now += 2_000_000;
        primary.Core.OnDiskWrite(Flush(epoch: 1), primary.Now);
        primary.Core.OnTick(primary.Now);
        Assert.DoesNotContain("cut 1", primary.Log);

        primary.Core.OnDiskWrite(Flush(epoch: 1), primary.Now);
        primary.Core.OnDiskWrite(Flush(epoch: 1), primary.Now);
        primary.Core.OnTick(primary.Now);

        Assert.Contains("cut 1", primary.Log);
        Assert.Equal(CutReason.StagingBudget, primary.Core.Cuts.Last);
    }

    [Fact]
    public void What_a_cut_cost_decides_the_next_epoch_once()
    {
        RecordedPrimary primary = new RecordedPrimary(pace: new PaceOptions()).Protect();
        primary.Now += 60_000_000;
        primary.Core.OnTick(primary.Now);
        primary.Core.OnCutTaken(1, primary.Now);
        primary.Core.OnCutMeasured(new EpochCost(PauseNanos: 1, CopyNanos: 40_000_000, DirtyPages: 1000));
        primary.Core.OnCaptureDone(1, [], primary.Now);
        primary.Now += 79_000_000;
        primary.Core.OnTick(primary.Now);
        Assert.DoesNotContain("cut 2", primary.Log);

        primary.Now += 1_000_000;
        primary.Core.OnTick(primary.Now);

        Assert.Contains("cut 2", primary.Log);
        Assert.Equal(
            [CutReason.Grid, CutReason.CopyBudget],
            primary.Core.Cuts.Snapshot().Where(entry => entry.Count > 0).Select(entry => entry.Reason));
    }

    [Fact]
    public void Fixed_epoch_says_as_well_why_it_was_cut()
    {
        RecordedPrimary primary = new RecordedPrimary(outputEpochNanos: 5_000_000).Protect();
        primary.EndEpoch(1);
        Assert.Equal(CutReason.Grid, primary.Core.Cuts.Last);
        primary.Ack(1);

        primary.Core.OnOutputWaiting(2, primary.Now);
        primary.Now += 30_000_000;
        primary.Core.OnTick(primary.Now);

        Assert.Equal(CutReason.OutputWaiting, primary.Core.Cuts.Last);
    }

    private static DiskWriteMessage Flush(ulong epoch)
        => new() { Disk = 0, Operation = BlockOperation.Flush, OffsetBytes = 0, LengthBytes = 0, Epoch = epoch };
}
