using System;
using System.Globalization;
using System.IO;
using Hypervisor.Core.Time;
using Hypervisor.Sessions;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class ReportedEventsTests : IDisposable
{
    private readonly StringWriter _lines = new(CultureInfo.InvariantCulture);

    public void Dispose() => _lines.Dispose();

    [Fact]
    public void Standby_that_runs_the_guest_says_where_it_took_over()
    {
        var events = new ReportedEvents(StatusReport.ToText(_lines), new StillClock(), isStandby: true)
        {
            TakeoverEpoch = () => 12,
        };

        events.OnGuestRunning(3);

        Assert.Equal("hv: takeover from epoch 12: generation 3\nhv: guest runs · generation 3\n", _lines.ToString());
    }

    [Fact]
    public void Primary_that_runs_the_guest_speaks_of_no_takeover()
    {
        NewEvents(isStandby: false).OnGuestRunning(1);

        Assert.Equal("hv: guest runs · generation 1\n", _lines.ToString());
    }

    [Fact]
    public void End_that_nobody_planned_is_told_as_one()
    {
        NewEvents(isStandby: false).OnEnded(isPlanned: false, "lost the witness");

        Assert.Contains("lost the witness (not planned", _lines.ToString(), StringComparison.Ordinal);
    }

    private ReportedEvents NewEvents(bool isStandby)
        => new(StatusReport.ToText(_lines), new StillClock(), isStandby);

    private sealed class StillClock : IHostClock
    {
        public long NowNanos => 0;
    }
}
