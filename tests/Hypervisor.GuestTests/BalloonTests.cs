using System;
using System.Linq;
using Hypervisor.Core.Memory;
using Hypervisor.Devices.Virtio;
using Hypervisor.Machine;
using Hypervisor.Machine.Boot;
using Xunit;

namespace Hypervisor.GuestTests;

/// <summary>Debian's virtio_balloon, in a guest of 256 MiB.</summary>
public sealed class BalloonTests
{
    private const long MebiByte = 1 << 20;

    [Fact]
    public void Debian_gives_memory_back_and_takes_it_again()
    {
        using GuestRun run = Boot(new VirtioBalloonOptions());
        VirtioBalloon balloon = run.Machine.Balloon!;
        run.Await("memory", static run => run.ConsoleText().Contains("MEMORY ", StringComparison.Ordinal));
        long before = HeldBytes(run);

        balloon.SetTarget(140 * MebiByte);
        run.Await("the balloon", run => balloon.Status.ActualBytes == 140 * MebiByte);
        balloon.RefreshStatistics();
        run.Await("statistics", run => balloon.Status.AvailableBytes < 110 * MebiByte);
        long inflated = HeldBytes(run);
        run.Await("little memory", static run => run.ConsoleText().Split("MEMORY ").Skip(1)
            .Any(line => int.Parse(line.Split('\r', '\n')[0]) < 70_000));
        balloon.SetTarget(0);
        (MachineEnd end, string console) = run.WaitForEnd();

        Assert.InRange(inflated, 1, 120 * MebiByte);
        Assert.True(before - inflated > 80 * MebiByte, $"{before} bytes before, {inflated} with the balloon");
        Assert.Equal(0, balloon.Status.ActualBytes);
        Assert.Contains("MEMORY-OK", console);
        Assert.Equal(new MachineEnd(MachineEndKind.PowerOff), end);
    }

    [Fact]
    public void Debian_reports_its_free_pages()
    {
        using GuestRun run = Boot(new VirtioBalloonOptions { ReportsFreePages = true });
        run.Await("memory", static run => run.ConsoleText().Contains("MEMORY ", StringComparison.Ordinal));

        // 100 MiB were in use and are not: Linux reports them within some seconds.
        run.Await("reports", static run => HeldBytes(run) < 110 * MebiByte);
    }

    private static GuestRun Boot(VirtioBalloonOptions balloon) => GuestRun.Start(
        new BootRequest
        {
            Kernel = BootFile.Open("kernel", LinuxFiles.KernelPath),
            Initrd = LinuxFiles.Initrd,
            CommandLine = "console=ttyS0 quiet hvtest=memory",
        },
        balloon);

    // What the host holds for the guest's RAM.
    private static long HeldBytes(GuestRun run)
    {
        GuestRam ram = run.Machine.Ram;
        return Enumerable.Range(0, (int)ram.PageCount)
            .Count(page => ram.HasMemory(page * (long)PageKernels.PageBytes, PageKernels.PageBytes))
            * (long)PageKernels.PageBytes;
    }
}
