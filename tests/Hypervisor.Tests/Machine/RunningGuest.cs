using System;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Console;
using Hypervisor.Core.Time;
using Hypervisor.Cpu;
using Hypervisor.Guest;
using Hypervisor.Machine;
using Hypervisor.Machine.Boot;
using Hypervisor.Replication.Capture;
using Hypervisor.TestKit;
using Xunit;
using Pc = Hypervisor.Machine.Machine;

namespace Hypervisor.Tests.Machine;

/// <summary>A whole machine with an embedded guest, and what comes out of its serial line.</summary>
internal sealed class RunningGuest : IDisposable
{
    public const int RamBytes = 16 << 20;

    private const long WaitNanosMax = 60_000_000_000;
    private static readonly HostClock s_clock = new();
    private string? _end;

    /// <summary>A machine that stands still, with empty RAM.</summary>
    public RunningGuest(
        SimDisk? disk = null,
        IHostClock? clock = null,
        Func<IByteStream, IByteStream>? wrap = null,
        int cpuCount = 1,
        ExecutionEngine engine = ExecutionEngine.Interpreter)
    {
        Disk = disk;
        var config = new MachineConfig
        {
            MemoryBytes = RamBytes,
            CpuCount = cpuCount,
            Engine = engine,
            Serials = [new SerialConfig(SerialKind.Null)],
            Drives = disk is null ? [] : [new DriveOptions("sim") { Id = "sim" }],
            DebugExitPort = MachineConfig.DebugExitPortDefault,
        };
        Machine = new Pc(
            config,
            disk is null ? [] : [disk],
            [wrap is null ? Console : wrap(Console)],
            [],
            clock ?? s_clock,
            end => Volatile.Write(ref _end, $"{end}")); // pairs with End
        Machine.Start();
    }

    public Pc Machine { get; }

    public ToyConsole Console { get; } = new();

    public SimDisk? Disk { get; }

    /// <summary>How the guest ended itself; null while it runs.</summary>
    public string? End => Volatile.Read(ref _end); // pairs with the machine's call

    /// <summary>Boots the counting guest, or another one; it stands still until the first Resume.</summary>
    public RunningGuest Boot(string commandLine, byte[]? kernel = null)
    {
        Machine.Boot(new BootRequest
        {
            Kernel = BootFile.FromBytes("kernel", "embedded", kernel ?? CountingGuest.Build()),
            CommandLine = commandLine,
        });
        return this;
    }

    /// <summary>Puts the state of a paused machine into this one, as a takeover does; it stands still.</summary>
    public RunningGuest LoadFrom(RunningGuest source)
    {
        byte[] sections = new byte[SectionCapture.BytesMax];
        int length = SectionCapture.Save(source.Machine.Components, sections);
        source.Machine.Ram.ReadOnlyBytes(0, RamBytes).CopyTo(Machine.Ram.WritableBytes(0, RamBytes));
        SectionCapture.Load(Machine.Components, sections.AsSpan(0, length));
        Machine.AfterLoad();
        return this;
    }

    public void AwaitText(string text) => Await(() => Console.Text.Contains(text, StringComparison.Ordinal), text);

    public void Await(Func<bool> condition, string what)
    {
        using var never = new ManualResetEventSlim();
        long deadline = s_clock.NowNanos + WaitNanosMax;
        while (!condition())
        {
            Assert.True(s_clock.NowNanos < deadline, $"waited for {what}; console: {Console.Text}");
            never.Wait(1, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>Lets the guest run until a disk request is in flight; then it is paused.</summary>
    public void RunToRequest()
    {
        bool isFirst = true;
        Await(
            () =>
            {
                if (!isFirst)
                {
                    Machine.Pause();
                    if (Disk!.Pending.Count != 0)
                    {
                        return true;
                    }
                }

                isFirst = false;
                Machine.Resume();
                return false;
            },
            "a disk request");
    }

    public void Dispose() => Machine.Dispose();
}
