using System;
using Hypervisor.Benchmarks.Systemd;
using Xunit;

namespace Hypervisor.Tests.Benchmarks;

public sealed class SystemdReportTests
{
    private const string Good = "\nDebian GNU/Linux 12 debian ttyS0\n\ndebian login: ";

    [Fact]
    public void A_row_has_medians_and_what_it_is_to_hv()
    {
        var report = new SystemdReport(
        [
            new SystemdBoot("TCG pc", 20, 21, Good), new SystemdBoot("hv", 10, 12, Good),
            new SystemdBoot("TCG pc", 22, 23, Good), new SystemdBoot("hv", 11, 13, Good),
        ]);

        string text = report.Write();

        Assert.Empty(report.Faults);
        Assert.Contains("| TCG pc | 21.0 | 20.0, 22.0 | 22.0 | 2.000 | 2 |", text, StringComparison.Ordinal);
        Assert.Contains("| hv | 10.5 | 10.0, 11.0 | 12.5 | 1.000 | 2 |", text, StringComparison.Ordinal);
        Assert.Contains("No unit failed", text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_boot_with_a_failed_unit_has_no_time()
    {
        const string Failed = "[FAILED] Failed to start dbus.service - D-Bus.\r\n" + Good;
        var report = new SystemdReport([new SystemdBoot("TCG pc", 20, 21, Good), new SystemdBoot("hv", 5, 6, Failed)]);

        string text = report.Write();

        Assert.Equal(["hv: [FAILED] Failed to start dbus.service - D-Bus."], report.Faults);
        Assert.Contains("| hv | – |  | – | – | 0 |", text, StringComparison.Ordinal);
        Assert.Contains("- ERROR hv: [FAILED]", text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_boot_without_a_prompt_shows_the_consoles_end()
    {
        var boot = new SystemdBoot("hv", double.NaN, double.NaN, "Loading\r\nlast words\r\n\nhv: no such file\n");

        Assert.Equal("no login: came; its last words: Loading / last words / hv: no such file", boot.Fault);
    }
}
