using System;
using System.IO;
using System.Linq;
using System.Text;
using System.Xml.Linq;
using Hypervisor.Core.Time;
using Hypervisor.Sessions;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class JUnitReportTests
{
    private readonly StepClock _clock = new();

    [Fact]
    public void Met_script_is_all_passed()
    {
        BootScript script = Run("ready\n", "ready");

        XElement suite = Report(script, null);

        Assert.Equal("1", suite.Attribute("tests")!.Value);
        Assert.Equal("0", suite.Attribute("failures")!.Value);
        Assert.Empty(suite.Descendants("failure"));
    }

    [Fact]
    public void First_step_that_was_not_met_failed_and_the_rest_is_skipped()
    {
        BootScript script = Run("one\npanic", "one", "two", "three");

        XElement suite = Report(script, "step 2 of 3: not met");

        XElement[] cases = [.. suite.Elements("testcase")];
        Assert.Equal("2: expect 'two'", cases[1].Attribute("name")!.Value);
        Assert.Empty(cases[0].Elements());
        Assert.Equal("step 2 of 3: not met", cases[1].Element("failure")!.Attribute("message")!.Value);
        Assert.Contains("panic", cases[1].Element("failure")!.Value, StringComparison.Ordinal);
        Assert.NotNull(cases[2].Element("skipped"));
        Assert.Equal("1", suite.Attribute("skipped")!.Value);
    }

    [Fact]
    public void Console_bytes_that_xml_cannot_hold_leave_it_well_formed()
    {
        BootScript script = Run("\e[31m<&\"]]>\0\uFFFF ok", "ok");

        XElement suite = Report(script, null);

        Assert.Contains("<&\"]]>", suite.Element("system-out")!.Value, StringComparison.Ordinal);
        Assert.DoesNotContain('\e', suite.Element("system-out")!.Value);
    }

    private BootScript Run(string output, params string[] expects)
    {
        var script = new BootScript([.. expects.Select(text => new BootStep(true, text))], _clock);
        script.OnOutput(Encoding.UTF8.GetBytes(output));
        return script;
    }

    private XElement Report(BootScript script, string? failure)
    {
        using var stream = new MemoryStream();
        JUnitReport.Write(stream, "vm", script, failure, _clock.NowNanos);
        stream.Position = 0;
        return XDocument.Load(stream).Root!.Element("testsuite")!;
    }

    private sealed class StepClock : IHostClock
    {
        private long _nanos;

        public long NowNanos => _nanos += 1_000_000;
    }
}
