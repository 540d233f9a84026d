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
    public void Any_common_way_to_compress_is_enough()
        => Assert.Null(Check(Compressions.None | Compressions.Zstd, Compressions.None | Compressions.Lz4));

    private static RefusalMessage? Check(Compressions offered, Compressions taken)
    {
        var hello = new HelloMessage
        {
            Node = Guid.NewGuid(),
            Generation = 1,
            LeaseNanos = 600_000_000,
            EpochsInFlightMax = 2,
            Machine = RecordedPrimary.Machine,
            Compressions = offered,
        };
        var options = new StandbyOptions
        {
            Node = Guid.NewGuid(),
            Machine = RecordedPrimary.Machine,
            Compressions = taken,
        };
        return HelloCheck.FindMismatch(hello, options, generation: 1);
    }
}
