using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Console;
using Hypervisor.Backends.Network;
using Hypervisor.Core.Time;
using Hypervisor.Cpu;
using Hypervisor.Devices.Virtio;
using Hypervisor.Machine;
using Hypervisor.Machine.Boot;
using Xunit;

namespace Hypervisor.GuestTests;

/// <summary>A machine in the test's process: a guest that runs from its boot to its own end.</summary>
internal sealed class GuestRun : IDisposable
{
    // Only a guest that hangs ever waits that long.
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(5);

    private static readonly SerialConfig s_serial = new(SerialKind.Null);
    private const int PollMillis = 20;

    private readonly StringBuilder _console = new(); // locked: written by the machine's threads
    private readonly ManualResetEventSlim _ended = new(false);
    private readonly Machine.Machine _machine;
    private MachineEnd _end;

    private GuestRun(
        BootRequest boot,
        ExecutionEngine engine,
        string[] images,
        INetworkBackend? network = null,
        IByteStream? virtio = null,
        VirtioBalloonOptions? balloon = null)
    {
        DriveOptions[] drives = [.. images.Select((path, i) => new DriveOptions(path) { Id = $"disk{i}" })];
        var config = new MachineConfig
        {
            MemoryBytes = 256 << 20,
            CpuCount = boot.CpuCount,
            Engine = engine,
            Drives = drives,
            Networks = network is null ? [] : [new NetworkOptions(NetworkKind.Tap) { Mac = new(0x5254_0000_0001) }],
            Serials = virtio is null ? [s_serial] : [s_serial, s_serial with { IsVirtio = true }],
            Balloon = balloon,
            DebugExitPort = MachineConfig.DebugExitPortDefault,
            RtcStart = new DateTime(2026, 1, 1),
        };
        IBlockDevice[] devices = [.. drives.Select(drive => BlockChain.Open(drive, static _ => { }))];
        IByteStream serial = new CaptureStream(new NullStream(), OnOutput);
        IReadOnlyList<IByteStream> serials = virtio is null ? [serial] : [serial, virtio];
        INetworkPort[] ports = network is null ? [] : [new NetworkPort("guest", network)];
        _machine = new Machine.Machine(config, devices, serials, ports, new HostClock(), OnEnded);
        _machine.Boot(boot);
    }

    /// <summary>Runs a guest to its end and closes its disks.</summary>
    /// <param name="boot">What starts; without a kernel the first disk.</param>
    /// <param name="images">Raw disk images.</param>
    /// <returns>How it ended, and all that it said.</returns>
    public static (MachineEnd End, string Console) ToEnd(BootRequest boot, params string[] images)
        => ToEnd(boot, ExecutionEngine.Interpreter, images);

    /// <summary>As above, with an engine.</summary>
    public static (MachineEnd End, string Console) ToEnd(
        BootRequest boot, ExecutionEngine engine, params string[] images)
    {
        return ToEnd(boot, engine, virtio: null, images);
    }

    /// <summary>As above, with a virtio console.</summary>
    public static (MachineEnd End, string Console) ToEnd(
        BootRequest boot, ExecutionEngine engine, IByteStream? virtio, params string[] images)
    {
        using var run = new GuestRun(boot, engine, images, virtio: virtio);
        run._machine.Start();
        run._machine.Resume();
        bool isEnded = run._ended.Wait(s_limit);
        string console = run.ConsoleText();
        Assert.True(isEnded, $"the guest did not end; its console:\n{console}");
        return (run._end, console);
    }

    /// <summary>Runs a guest that serves on a network until somebody ends it by a call.</summary>
    /// <param name="boot">What starts.</param>
    /// <param name="network">What its NIC is plugged into.</param>
    /// <param name="ready">Text on the console after which it serves.</param>
    /// <param name="use">Uses its services, and ends it.</param>
    public static (MachineEnd End, string Console) Serve(
        BootRequest boot, INetworkBackend network, string ready, Action use)
    {
        using var run = new GuestRun(boot, ExecutionEngine.Translator, [], network);
        run._machine.Start();
        run._machine.Resume();
        bool isReady = SpinWait.SpinUntil(
            () => run._ended.Wait(PollMillis) || run.ConsoleText().Contains(ready, StringComparison.Ordinal), s_limit);
        Assert.True(isReady && !run._ended.IsSet, $"the guest did not serve; its console:\n{run.ConsoleText()}");
        use();
        bool isEnded = run._ended.Wait(s_limit);
        Assert.True(isEnded, $"the guest did not end; its console:\n{run.ConsoleText()}");
        return (run._end, run.ConsoleText());
    }

    /// <summary>Starts a guest with a balloon.</summary>
    public static GuestRun Start(BootRequest boot, VirtioBalloonOptions balloon)
    {
        var run = new GuestRun(boot, ExecutionEngine.Translator, [], balloon: balloon);
        run._machine.Start();
        run._machine.Resume();
        return run;
    }

    /// <summary>The machine, for a test that works on it while the guest runs.</summary>
    public Machine.Machine Machine => _machine;

    /// <summary>Waits until something holds, or the guest ended.</summary>
    public void Await(string what, Func<GuestRun, bool> holds)
    {
        bool isSo = SpinWait.SpinUntil(() => _ended.Wait(PollMillis) || holds(this), s_limit);
        Assert.True(isSo && holds(this), $"waited for {what}; the guest's console:\n{ConsoleText()}");
    }

    /// <summary>Waits for the guest's own end.</summary>
    public (MachineEnd End, string Console) WaitForEnd()
    {
        Assert.True(_ended.Wait(s_limit), $"the guest did not end; its console:\n{ConsoleText()}");
        return (_end, ConsoleText());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _machine.Dispose();
        _ended.Dispose();
    }

    /// <summary>What the guest said so far.</summary>
    public string ConsoleText()
    {
        lock (_console)
        {
            return _console.ToString();
        }
    }

    private void OnOutput(ReadOnlySpan<byte> bytes)
    {
        lock (_console)
        {
            _console.Append(Encoding.ASCII.GetString(bytes));
        }
    }

    private void OnEnded(MachineEnd end)
    {
        _end = end;
        _ended.Set();
    }
}
