using System;
using Hypervisor.Backends.Block;
using Hypervisor.CommandLine;
using Hypervisor.Machine;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class ProtectableTests
{
    [Theory]
    [InlineData(CacheMode.None, true)]
    [InlineData(CacheMode.Directsync, true)]
    [InlineData(CacheMode.Writethrough, true)]
    [InlineData(CacheMode.Writeback, true)]
    [InlineData(CacheMode.Unsafe, false)]
    public void Rule_41_cache_mode_that_ignores_flushes_is_refused(CacheMode cache, bool isAllowed)
    {
        MachineConfig machine = With(
            new DriveOptions("a") { Id = "a" }, new DriveOptions("b") { Id = "b", Cache = cache });

        if (isAllowed)
        {
            Assert.Same(machine, Protectable.Check(machine));
        }
        else
        {
            UsageException refusal = Assert.Throws<UsageException>(() => Protectable.Check(machine));
            Assert.StartsWith("--drive b: cache=unsafe ignores flushes", refusal.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Rule_43_snapshot_is_refused()
    {
        MachineConfig machine = With(new DriveOptions("a") { Id = "a", IsSnapshot = true });

        UsageException refusal = Assert.Throws<UsageException>(() => Protectable.Check(machine));

        Assert.StartsWith("--snapshot", refusal.Message, StringComparison.Ordinal);
    }

    private static MachineConfig With(params DriveOptions[] drives) => new() { Drives = drives };
}
