using System;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;
using Hypervisor.Tests.Replication.Epochs;
using Xunit;

namespace Hypervisor.Tests.Replication.Standby;

public sealed class HelloCheckTests
{
    [Theory]
    [InlineData(Compressions.Zstd, Compressions.None | Compressions.Lz4, "zstd", "none, lz4")]
    [InlineData(Compressions.Nothing, Compressions.None, "", "none")]
    [InlineData((Compressions)0x80, Compressions.All, "", "none, lz4, zstd")]
    public void Rule_33_compression_that_the_standby_cannot_take_is_named(
        Compressions offered, Compressions taken, string primaryValue, string standbyValue)
    {
        RefusalMessage refusal = Assert.IsType<RefusalMessage>(Check(offered, taken));

        Assert.Equal(
            ("compression", primaryValue, standbyValue),
            (refusal.Field, refusal.PrimaryValue, refusal.StandbyValue));
    }

    [Fact]
    public void Rule_27_standby_that_is_the_primarys_node_at_the_witness_refuses_it()
    {
        var node = Guid.NewGuid();

        RefusalMessage refusal = Assert.IsType<RefusalMessage>(
            Check(Compressions.None, Compressions.None, node, node));

        Assert.Equal(("node", $"{node}"), (refusal.Field, refusal.PrimaryValue));
    }

    [Fact]
    public void Rule_33_disk_that_only_one_half_calls_shared_is_named()
    {
        MachineIdentity machine = RecordedPrimary.Machine;

        RefusalMessage refusal = Assert.IsType<RefusalMessage>(Check(
            Compressions.None,
            Compressions.None,
            machine: machine with { Disks = [machine.Disks[0] with { IsShared = true }] }));

        Assert.Equal(("disk 0 (vda) shared", "True", "False"), (
            refusal.Field, refusal.PrimaryValue, refusal.StandbyValue));
    }

    [Fact]
    public void Any_common_way_to_compress_is_enough()
        => Assert.Null(Check(Compressions.None | Compressions.Zstd, Compressions.None | Compressions.Lz4));

    private static RefusalMessage? Check(
        Compressions offered,
        Compressions taken,
        Guid? primary = null,
        Guid? standby = null,
        MachineIdentity? machine = null)
    {
        var hello = new HelloMessage
        {
            Node = primary ?? Guid.NewGuid(),
            Generation = 1,
            LeaseNanos = 600_000_000,
            EpochsInFlightMax = 2,
            Machine = machine ?? RecordedPrimary.Machine,
            Compressions = offered,
        };
        var options = new StandbyOptions
        {
            Node = standby ?? Guid.NewGuid(),
            Machine = RecordedPrimary.Machine,
            Compressions = taken,
        };
        return HelloCheck.FindMismatch(hello, options, generation: 1);
    }
}
