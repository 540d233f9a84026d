using System.Diagnostics;
using Hypervisor.Benchmarks.Protection;
using Xunit;

namespace Hypervisor.Tests.Benchmarks;

public sealed class ProcessorClockTests
{
    [Fact]
    public void Process_that_is_gone_counts_nothing()
    {
        using var gone = Process.Start("true");
        gone.WaitForExit();

        var clock = ProcessorClock.Read(gone.Id);

        Assert.True(clock.Busy > 0);
        Assert.Equal((0.0, 0.0), (clock.Ours, clock.Vcpu));
    }
}
