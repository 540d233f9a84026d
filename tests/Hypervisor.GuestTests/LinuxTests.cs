using System;
using System.Threading;
using Hypervisor.Cpu;
using Hypervisor.Machine;
using Hypervisor.Machine.Boot;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.GuestTests;

public sealed class LinuxTests
{
    [Fact]
    public void Debian_writes_and_reads_ext4_on_virtio_blk()
    {
        using var folder = new TestFolder();
        string disk = folder.Copy("disk.img", LinuxFiles.DiskPath);
        BootFile kernel = BootFile.Open("kernel", LinuxFiles.KernelPath);

        (MachineEnd end, string console) = GuestRun.ToEnd(Boot(kernel, "hvtest=ext4"), disk);

        Assert.Contains("BOOTED", console);
        Assert.Contains("EXT4-OK", console);
        Assert.Equal(new MachineEnd(MachineEndKind.PowerOff), end);
        (int exitCode, string output) = LinuxFiles.CheckExt4(disk);
        Assert.True(exitCode == 0, output);
    }

    [Fact]
    public void Debian_starts_through_pvh_and_syncs_each_line_of_a_loop()
    {
        using var folder = new TestFolder();
        string disk = folder.Copy("disk.img", LinuxFiles.DiskPath);
        var kernel = BootFile.FromBytes("kernel", "vmlinux", Vmlinux.Extract(LinuxFiles.KernelPath));

        (MachineEnd end, string console) = GuestRun.ToEnd(Boot(kernel, "hvtest=loop hvcount=20"), disk);

        Assert.Contains("seq 20\r\n", console);
        Assert.DoesNotContain("seq 21", console);
        Assert.Equal(new MachineEnd(MachineEndKind.PowerOff), end);
        (int exitCode, string output) = LinuxFiles.CheckExt4(disk);
        Assert.True(exitCode == 0, output);
    }

    [Theory]
    [InlineData(ExecutionEngine.Interpreter)]
    [InlineData(ExecutionEngine.Translator)]
    public void Debian_runs_on_two_vcpus(ExecutionEngine engine)
    {
        BootFile kernel = BootFile.Open("kernel", LinuxFiles.KernelPath);

        (MachineEnd end, string console) = GuestRun.ToEnd(Boot(kernel, "hvtest=smp", cpuCount: 2), engine);

        Assert.Contains("online 0-1\r\n", console);
        Assert.Contains("SMP-OK", console);
        Assert.DoesNotContain("SMP-FAILED", console);
        Assert.Equal(new MachineEnd(MachineEndKind.PowerOff), end);
    }

    [Fact]
    public void Debian_talks_on_a_virtio_console()
    {
        var console = new ToyConsole();
        BootFile kernel = BootFile.Open("kernel", LinuxFiles.KernelPath);
        using var typing = new Timer(_ =>
        {
            if (console.Text.Contains("HVC-HELLO", StringComparison.Ordinal)
                && !console.Text.Contains("HVC-GOT", StringComparison.Ordinal))
            {
                console.OnInput!("a word\n"u8.ToArray());
            }
        });
        typing.Change(0, 200);

        (MachineEnd end, string serial) = GuestRun.ToEnd(
            Boot(kernel, "hvtest=console"), ExecutionEngine.Translator, console);

        Assert.Contains("HVC-OK", serial);
        Assert.Contains("HVC-GOT a word", console.Text);
        Assert.Contains(new string('z', 256 << 10), console.Text);
        Assert.Equal(new MachineEnd(MachineEndKind.PowerOff), end);
    }

    private static BootRequest Boot(BootFile kernel, string test, int cpuCount = 1) => new()
    {
        CpuCount = cpuCount,
        Kernel = kernel,
        Initrd = LinuxFiles.Initrd,
        CommandLine = $"console=ttyS0 quiet {test}",
    };
}
