using Hypervisor.Replication.Epochs;
using Hypervisor.Sessions;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class PaceTextTests
{
    [Fact]
    public void Only_reasons_that_led_to_a_cut_are_named() => Assert.Equal(
        "cuts by reason: usual length 3 · idle guest 1",
        PaceText.Describe([new(CutReason.Grid, 3), new(CutReason.StandbyFull, 0), new(CutReason.Idle, 1)]));
}
