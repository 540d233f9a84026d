using System;
using System.IO;
using System.Linq;
using Hypervisor.Benchmarks.Kit;
using Xunit;

namespace Hypervisor.Tests.Benchmarks;

public sealed class KitRunTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("hv-kit-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Reads_what_the_kit_writes()
    {
        Write(
            "hv.r1",
            """{"boot_s": 2.5, "done": false, "ended": "stalled", "open": ["fib"], "fails": ["sort rc=1"]}""");

        KitRun run = Assert.Single(KitRun.LoadAll(_folder));

        Assert.Equal(new KitRow("sort", 1.5, 1.25, 0.75, "0", "00ff"), Assert.Single(run.Rows));
        Assert.Equal(2.5, run.BootSeconds);
        Assert.False(run.IsDone);
        Assert.Equal(["fib"], run.Unfinished);
        Assert.Equal(["sort rc=1"], run.Complaints);
        Assert.Equal(["1.0 START fib"], run.Tail);
    }

    [Fact]
    public void Parts_of_a_run_have_its_label_and_the_last_number_is_found()
    {
        const string Done = """{"done": true, "ended": "exit", "open": [], "fails": []}""";
        Write("hv.r2", Done);
        Write("hv~2.r2", Done);
        Write("pc-boot.r11", Done);

        Assert.Equal(["hv", "hv", "pc-boot"], KitRun.LoadAll(_folder).Select(run => run.Label).Order());
        Assert.Equal(11, KitRun.LastNumber(_folder));
    }

    [Theory]
    [InlineData("1.0000", "1.1", true)]
    [InlineData("0.0100", "0.025", true)]
    [InlineData("0.0000", "0.500", false)]
    [InlineData("2.0000", "1.500", false)]
    [InlineData("2.0000", "", true)]
    public void A_time_that_the_guest_contradicts_is_left_out(string host, string guest, bool isKept)
    {
        Write("hv.r1", """{"done": true, "ended": "exit", "open": [], "fails": []}""");
        File.WriteAllText(Path.Combine(_folder, "hv.r1.tsv"), $"head\nsort\t{host}\t1\t{guest}\t0\t0\tff\n");

        KitRow row = Assert.Single(Assert.Single(KitRun.LoadAll(_folder)).Rows);

        Assert.Equal(isKept, double.IsFinite(row.Seconds));
    }

    private void Write(string name, string facts)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path + ".json", facts);
        File.WriteAllText(
            path + ".tsv",
            "name\thost_s\thost_cpu_s\tguest_s\tother\trc\tcheck\nsort\t1.5000\t1.2500\t1.4\t0.75\t0\t00ff\n");
        File.WriteAllText(path + ".log", "1.0 START fib\n");
    }
}
