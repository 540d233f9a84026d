using System;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;
using Hypervisor.Tests.Replication.Epochs;
using Xunit;

namespace Hypervisor.Tests.Replication.Standby;

public sealed class HelloCheckTests
{
    private static readonly Guid s_other = new("dddddddd-0000-0000-0000-000000000005");

    [Theory]
    [InlineData(Compressions.Zstd, Compressions.None | Compressions.Lz4, "zstd", "none, lz4")]
    [InlineData(Compressions.Nothing, Compressions.None, "", "none")]
    [InlineData((Compressions)0x80, Compressions.All, "", "none, lz4, zstd")]
    public void Rule_33_compression_that_the_standby_cannot_take_is_named(
        Compressions offered, Compressions taken, string primaryValue, string standbyValue)
        => AssertRefused(
            "compression",
            primaryValue,
            standbyValue,
            Check(Hello(compressions: offered), Options(compressions: taken)));

    [Theory]
    [InlineData("VM UUID", "dddddddd-0000-0000-0000-000000000005", "cccccccc-0000-0000-0000-000000000003")]
    [InlineData("pair UUID", "dddddddd-0000-0000-0000-000000000005", "cccccccc-0000-0000-0000-000000000004")]
    [InlineData("machine model", "pc-2", "pc-1")]
    [InlineData("CPU model", "x86-64-v4", "x86-64-v3")]
    [InlineData("section count", "2", "1")]
    [InlineData("section 0 tag", "00000002.0", "00000001.0")]
    public void Rule_33_other_identity_is_named(string field, string primaryValue, string standbyValue)
        => AssertRefused(field, primaryValue, standbyValue, Check(Hello(Other(field)), Options()));

    [Theory]
    [InlineData("RAM bytes", "2097152", "1048576")]
    [InlineData("disk count", "2", "1")]
    [InlineData("disk 0 id", "vdb", "vda")]
    [InlineData("disk 0 (vda) bytes", "8192", "4096")]
    [InlineData("section 00000001.0 version", "2", "1 at most")]
    public void Rule_43_other_machine_is_refused(string field, string primaryValue, string standbyValue)
        => AssertRefused(field, primaryValue, standbyValue, Check(Hello(Other(field)), Options()));

    [Fact]
    public void Rule_33_primary_of_an_older_generation_is_named()
        => AssertRefused("generation", "1", "seen 2", HelloCheck.FindMismatch(Hello(), Options(), generation: 2));

    [Fact]
    public void Rule_33_standby_without_an_identity_takes_the_primarys()
    {
        MachineIdentity any = RecordedPrimary.Machine with
        {
            VmId = Guid.Empty,
            PairId = Guid.Empty,
            MachineModel = "",
            CpuModel = "",
            RamBytes = 0,
            Sections = [],
        };

        Assert.Null(Check(Hello(), Options(any)));
    }

    [Fact]
    public void Rule_26_lease_that_outlasts_the_takeover_timeout_is_named()
    {
        long takeover = Options().TakeoverNanos;

        AssertRefused(
            "lease in ns",
            $"{takeover}",
            $"{Lease.LongestNanos(takeover)} at most",
            Check(Hello(leaseNanos: takeover), Options()));
    }

    [Fact]
    public void Rule_27_standby_that_is_the_primarys_node_at_the_witness_refuses_it()
        => AssertRefused(
            "node", $"{s_other}", $"{s_other}, must be another one", Check(Hello(), Options(node: s_other)));

    [Fact]
    public void Rule_33_disk_that_only_one_half_calls_shared_is_named()
    {
        MachineIdentity machine = RecordedPrimary.Machine;
        MachineIdentity shared = machine with { Disks = [machine.Disks[0] with { IsShared = true }] };
        AssertRefused("disk 0 (vda) shared", "True", "False", Check(Hello(shared), Options()));
    }

    [Fact]
    public void Any_common_way_to_compress_is_enough() => Assert.Null(Check(
        Hello(compressions: Compressions.None | Compressions.Zstd),
        Options(compressions: Compressions.None | Compressions.Lz4)));

    private static MachineIdentity Other(string field)
    {
        MachineIdentity machine = RecordedPrimary.Machine;
        DiskIdentity disk = machine.Disks[0];
        SectionFormat section = machine.Sections[0];
        return field switch
        {
            "VM UUID" => machine with { VmId = s_other },
            "pair UUID" => machine with { PairId = s_other },
            "machine model" => machine with { MachineModel = "pc-2" },
            "CPU model" => machine with { CpuModel = "x86-64-v4" },
            "RAM bytes" => machine with { RamBytes = 2 * machine.RamBytes },
            "disk count" => machine with { Disks = [disk, disk] },
            "disk 0 id" => machine with { Disks = [disk with { Id = "vdb" }] },
            "disk 0 (vda) bytes" => machine with { Disks = [disk with { LengthBytes = 2 * disk.LengthBytes }] },
            "section count" => machine with { Sections = [section, section] },
            "section 0 tag" => machine with { Sections = [section with { Tag = section.Tag + 1 }] },
            _ => machine with { Sections = [section with { Version = 2 }] },
        };
    }

    private static HelloMessage Hello(
        MachineIdentity? machine = null, Compressions compressions = Compressions.None, long leaseNanos = 600_000_000)
        => new()
        {
            Node = s_other,
            Generation = 1,
            LeaseNanos = leaseNanos,
            EpochsInFlightMax = 2,
            Machine = machine ?? RecordedPrimary.Machine,
            Compressions = compressions,
        };

    private static StandbyOptions Options(
        MachineIdentity? machine = null, Compressions compressions = Compressions.None, Guid? node = null)
        => new()
        {
            Node = node ?? Guid.NewGuid(),
            Machine = machine ?? RecordedPrimary.Machine,
            Compressions = compressions,
        };

    private static RefusalMessage? Check(HelloMessage hello, StandbyOptions options)
        => HelloCheck.FindMismatch(hello, options, generation: 1);

    private static void AssertRefused(
        string field, string primaryValue, string standbyValue, RefusalMessage? refusal)
        => Assert.Equal(
            (field, primaryValue, standbyValue), (refusal?.Field, refusal?.PrimaryValue, refusal?.StandbyValue));
}
