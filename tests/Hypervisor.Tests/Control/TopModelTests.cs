using System;
using System.Collections.Generic;
using System.Linq;
using Hypervisor.Control;
using Xunit;

namespace Hypervisor.Tests.Control;

public sealed class TopModelTests
{
    [Fact]
    public void Primary_shows_its_numbers_a_chart_and_a_histogram() => Assert.Equal(
        [
            "db · primary · up 1 d 02:03:04",
            "state   protected",
            "taints  both halves on this machine, acknowledged from memory",
            "epochs  open 1201, acked 1199, released 1198",
            "lag     4.20 ms",
            "sent    5.0 MiB · 321 dirty pages in the last epoch",
            "phases  p50/p99/max in ms",
            "        stop 0.00/0.08/0.09     capture 0.20/0.30/0.40  arm 0.00/0.00/0.00",
            "        resume 0.00/0.01/0.01",
            "cuts    last: pause budget · all: output waits 200 · pause budget 1000",
            "instructions 123.5 M",
            "disk    root, 1024.0 MiB",
            "disk    data, 0.0 MiB",
            "last    protected · \"generation\" 3",
            "",
            "longest pause of each of the last 4 s",
            "   7.00 ms │   █",
            "           │   █",
            "           │   █",
            "           │   █",
            "           │   █",
            "         0 │ ▂▅█",
            "",
            "pauses  p50 0.31 ms, p99 2.50 ms, max 7.00 ms of 1200",
            "≥ 262.1 µs │████████████████████████████████████████ 1193",
            "  ≥ 1.0 ms │█ 7",
        ],
        Texts(new TopModel().Show(Samples.Primary with { PauseCounts = [.. new long[18], 3, 1190, 7] })));

    [Fact]
    public void Pauses_that_are_shorter_than_the_first_row_count_in_it()
    {
        GuestStatus status = Samples.Primary with { PauseCounts = [5, 0, 6, .. new long[15], 2] };

        string[] rows = Texts(new TopModel().Show(status));

        Assert.Equal("   ≥ 16 ns │████████████████████████████████████████ 11", rows[^8]);
        Assert.Equal("≥ 262.1 µs │███████ 2", rows[^1]);
    }

    [Fact]
    public void Rates_are_against_the_status_before()
    {
        var model = new TopModel();
        _ = model.Show(Samples.Primary);

        string[] rows = Texts(model.Show(Samples.Primary with
        {
            UptimeMicros = Samples.Primary.UptimeMicros + 2_000_000,
            Epochs = Samples.Primary.Epochs + 40,
            BytesSent = Samples.Primary.BytesSent + (3 << 20),
        }));

        Assert.Contains("epochs  open 1201, acked 1199, released 1198 (20.0/s)", rows);
        Assert.Contains("sent    8.0 MiB (1.5 MiB/s) · 321 dirty pages in the last epoch", rows);
    }

    [Fact]
    public void Counters_that_began_anew_have_no_rate()
    {
        var model = new TopModel();
        _ = model.Show(Samples.Primary);

        string[] rows = Texts(model.Show(Samples.Primary with
        {
            UptimeMicros = Samples.Primary.UptimeMicros + 1_000_000,
            BytesSent = 0,
        }));

        Assert.Contains("sent    0.0 MiB · 321 dirty pages in the last epoch", rows);
    }

    [Fact]
    public void Copy_is_a_bar_while_it_lasts()
    {
        string[] rows = Texts(new TopModel().Show(Samples.Primary with { State = "copying" }));

        Assert.Contains($"copy    {new string('█', 10)}{new string('░', 30)} 25 % of 4.0 MiB", rows);
    }

    [Fact]
    public void Copy_says_how_fast_it_is_and_how_long_it_takes_yet()
    {
        var model = new TopModel();
        GuestStatus status = Samples.Primary with { State = "copying", CopyTotalBytes = 9 << 20 };
        _ = model.Show(status);

        string[] rows = Texts(model.Show(status with
        {
            UptimeMicros = status.UptimeMicros + 2_000_000,
            CopyDoneBytes = 3 << 20,
        }));

        Assert.Contains("        1.0 MiB/s, 6 s left", rows);
    }

    [Theory]
    [InlineData("protected", TopTone.Good)]
    [InlineData("copying", TopTone.Bad)]
    [InlineData("alone", TopTone.Bad)]
    internal void State_that_protects_looks_different(string state, TopTone tone)
        => Assert.Equal(tone, new TopModel().Show(Samples.Primary with { State = state })[1].Tone);

    [Fact]
    public void Standby_shows_what_it_has_received()
    {
        string[] rows = Texts(new TopModel().Show(Samples.Standby));

        Assert.Contains("epochs  committed 12, applied 11", rows);
        Assert.Contains("received 3.0 MiB", rows);
        Assert.Contains("        journal 1.00/2.00/3.00", rows);
        Assert.DoesNotContain(rows, row => row.Contains("pause", StringComparison.Ordinal));
    }

    [Fact]
    public void Guest_that_has_no_pauses_yet_is_shown_as_well()
        => Assert.Contains("pauses  none", Texts(new TopModel().Show(new GuestStatus { Role = GuestRole.Primary })));

    private static string[] Texts(IReadOnlyList<TopRow> rows) => [.. rows.Select(row => row.Text)];
}
