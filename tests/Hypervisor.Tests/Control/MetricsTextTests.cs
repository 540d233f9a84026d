using System;
using System.Linq;
using System.Text.RegularExpressions;
using Hypervisor.Control;
using Xunit;

namespace Hypervisor.Tests.Control;

public sealed partial class MetricsTextTests
{
    [Theory]
    [InlineData("hv_info{guest=\"db\",role=\"primary\"} 1")]
    [InlineData("hv_uptime_seconds 93784.5")]
    [InlineData("hv_state{state=\"protected\"} 1")]
    [InlineData("hv_state{state=\"copying\"} 0")]
    [InlineData("hv_taint{taint=\"sameHost\"} 1")]
    [InlineData("hv_taint{taint=\"insecure\"} 0")]
    [InlineData("hv_disk_bytes{disk=\"root\"} 1073741824")]
    [InlineData("hv_guest_instructions_total 123456789")]
    [InlineData("hv_epochs_total 1200")]
    [InlineData("hv_epoch{point=\"acked\"} 1199")]
    [InlineData("hv_pause_seconds{quantile=\"0.5\"} 0.00031")]
    [InlineData("hv_pause_seconds{quantile=\"1\"} 0.007")]
    [InlineData("hv_pause_seconds_sum 0.48")]
    [InlineData("hv_pause_seconds_count 1200")]
    [InlineData("hv_phase_seconds{phase=\"stop\",quantile=\"0.5\"} 9E-07")]
    [InlineData("hv_phase_seconds{phase=\"capture\",quantile=\"0.99\"} 0.0003")]
    [InlineData("hv_phase_seconds_sum{phase=\"capture\"} 0.24")]
    [InlineData("hv_phase_seconds_count{phase=\"apply\"} 0")]
    [InlineData("hv_cuts_total{reason=\"outputWaiting\"} 200")]
    [InlineData("hv_lag_seconds 0.0042")]
    [InlineData("hv_lease 1")]
    [InlineData("hv_sent_bytes_total 5242880")]
    [InlineData("hv_dirty_pages 321")]
    [InlineData("hv_copy_done_bytes 1048576")]
    [InlineData("hv_generation 3")]
    public void Primary_has(string line)
        => Assert.Contains(line, MetricsText.Write(Samples.Primary).Split('\n'));

    [Theory]
    [InlineData("hv_state{state=\"failed\"} 1")]
    [InlineData("hv_received_bytes_total 3145728")]
    [InlineData("hv_epoch{point=\"committed\"} 12")]
    [InlineData("hv_phase_seconds{phase=\"journal\",quantile=\"1\"} 0.003")]
    public void Standby_has(string line)
        => Assert.Contains(line, MetricsText.Write(Samples.Standby).Split('\n'));

    [Fact]
    public void What_a_role_does_not_have_is_left_out()
    {
        Assert.DoesNotContain("hv_pause", MetricsText.Write(Samples.Standby), StringComparison.Ordinal);
        Assert.DoesNotContain("hv_epoch", MetricsText.Write(Samples.Alone), StringComparison.Ordinal);
        Assert.DoesNotContain("instructions", MetricsText.Write(Samples.Alone), StringComparison.Ordinal);
    }

    [Fact]
    public void Exactly_one_state_is_1()
        => Assert.All(
            new[] { Samples.Alone, Samples.Primary, Samples.Standby },
            status => Assert.Single(
                MetricsText.Write(status).Split('\n'),
                line => line.StartsWith("hv_state{", StringComparison.Ordinal) && line.EndsWith(" 1")));

    [Fact]
    public void Every_line_is_of_the_format_and_every_family_is_described_once_and_together()
    {
        string[] lines = MetricsText.Write(Samples.Primary).TrimEnd('\n').Split('\n');
        string[] families = [.. lines.Where(line => line.StartsWith("# TYPE ", StringComparison.Ordinal))
            .Select(line => line.Split(' ')[2])];

        Assert.All(lines, line => Assert.Matches(Format(), line));
        Assert.Equal(families.Distinct(), families);
        string current = "";
        foreach (string line in lines)
        {
            if (line.StartsWith("# HELP ", StringComparison.Ordinal))
            {
                current = line.Split(' ')[2];
            }

            Assert.StartsWith(current, line.Replace("# HELP ", "").Replace("# TYPE ", ""), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Label_is_escaped()
    {
        GuestStatus status = Samples.Alone with { Guest = "a\"b\\c\nd" };

        Assert.Contains("guest=\"a\\\"b\\\\c\\nd\"", MetricsText.Write(status), StringComparison.Ordinal);
    }

    [GeneratedRegex(
        """^(# HELP [a-z_]+ .+|# TYPE [a-z_]+ (counter|gauge|summary)|"""
        + """[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? \S+)$""")]
    private static partial Regex Format();
}
