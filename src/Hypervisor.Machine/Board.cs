using System;
using System.Collections.Generic;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Console;
using Hypervisor.Backends.Network;
using Hypervisor.Core.Memory;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Cpu;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.Peers;
using Hypervisor.Devices;
using Hypervisor.Devices.Bus;
using Hypervisor.Devices.Chipset;
using Hypervisor.Devices.Pci;
using Hypervisor.Devices.Virtio;
using Hypervisor.Machine.Boot;

namespace Hypervisor.Machine;

/// <summary>
/// What sits on the main board and how it is wired: the one place that lists the machine's devices. The PC as
/// i440FX/PIIX has it; addresses in src/ARCHITECTURE.md.
/// </summary>
internal sealed class Board : IDisposable
{
    private const int SciIrq = 9;
    private const int EntropySlot = 2, FirstDriveSlot = 3; // after the host bridge and the PIIX
    private const int BalloonSlot = FirstDriveSlot + MachineConfig.DriveCountMax;
    private const int FirstNicSlot = BalloonSlot + 1;
    private const int ConsoleSlot = FirstNicSlot + MachineConfig.NetworkCountMax;
    private const ushort TriggerPort = 0x4D1;  // ELCR of IRQ 8-15
    private const uint PciIrqsTrigger = 0x0C;  // IRQ 10 and 11
    private static readonly (ushort Port, int Irq)[] s_serialLines = [(0x3F8, 4), (0x2F8, 3), (0x3E8, 4), (0x2E8, 3)];

    private readonly Lock _busLock;
    private readonly MmioBus _mmio = new();
    private readonly PortBus _ports = new();
    private readonly InterruptRouter _interrupts;
    private readonly Vcpu[] _vcpus;
    private readonly PciHost _pci;
    private readonly List<ICheckpointed> _components = [];
    private readonly List<Action> _resets = [];
    private readonly List<VirtioPciTransport> _transports = [];
    private readonly List<IDisposable> _owned = [];
    private readonly List<IByteStream> _serials = [];
    private readonly List<INetworkPort> _networks = [];
    private readonly List<VirtioBlk> _disks = [];

    internal Board(
        MachineConfig config,
        GuestRam ram,
        GuestTimers timers,
        EventLoop eventLoop,
        Lock busLock,
        IReadOnlyList<IBlockDevice> drives,
        IReadOnlyList<IByteStream> serials,
        IReadOnlyList<INetworkPort> networks,
        BoardEvents events)
    {
        _busLock = busLock;
        _interrupts = new InterruptRouter();
        var entropy = new HostEntropy();
        var context = new DeviceContext(
            ram, timers, eventLoop, entropy, _interrupts.DriveGsi, _interrupts.SendMsi);

        Peers = new VcpuPeers(ram);
        _vcpus = BuildVcpus(config, ram, timers, entropy, events);
        var ioApic = new IoApic(_interrupts.SendMsi);
        var pic = new Pic8259(_interrupts.SetExternalInterrupt);
        _interrupts.Connect(pic, ioApic, _vcpus);
        ioApic.Attach(_mmio);
        pic.Attach(_ports);
        Own(ioApic, ioApic.Reset);
        Own(pic, pic.Reset);

        BuildTimekeeping(config, context);
        _pci = BuildPci(context, pic);
        BuildPower(config, context, events); // its reset control register lies inside the PCI configuration address
        BuildSerials(config, context, serials);
        BuildVirtio(config, context, drives);
        BuildNics(config, context, networks);
        BuildConsole(config, context, serials);
        if (config.Balloon is { } balloon)
        {
            Balloon = new VirtioBalloon(context, instance: 0, balloon);
            Plug(context, BalloonSlot, Balloon);
        }

        new FirmwareServices(ram, drives, _ports, eventLoop).Attach(_ports);
        SetUpFirmware();
    }

    internal IReadOnlyList<Vcpu> Vcpus => _vcpus;

    /// <summary>Name of the CPU model that CPUID reports.</summary>
    internal string CpuModelName { get; private set; } = "";

    /// <summary>What the vCPUs know of each other.</summary>
    internal VcpuPeers Peers { get; }

    /// <summary>The disks, in the configuration's order.</summary>
    internal IReadOnlyList<VirtioBlk> Disks => _disks;

    /// <summary>The memory balloon; null: none.</summary>
    internal VirtioBalloon? Balloon { get; }

    /// <summary>All components but the clock, in checkpoint order.</summary>
    internal IReadOnlyList<ICheckpointed> Components => _components;

    /// <summary>Sets vCPU 0 as a boot plan says; the others wait for SIPI.</summary>
    internal void Load(BootPlan plan) => _vcpus[0].Load(InitialStates.Of(plan));

    /// <summary>Every device and vCPU as after power-on; RAM stays.</summary>
    internal void Reset()
    {
        foreach (Action reset in _resets)
        {
            reset();
        }

        SetUpFirmware();
    }

    /// <summary>Drops derived state after a checkpoint was loaded, and issues its requests in flight again.</summary>
    internal void AfterLoad()
    {
        foreach (Vcpu vcpu in _vcpus)
        {
            vcpu.AfterLoad();
        }

        foreach (VirtioPciTransport transport in _transports)
        {
            transport.ResumeInFlight();
        }
    }

    /// <summary>Lets input flow from the host's ends of serial lines and networks.</summary>
    internal void StartInput()
    {
        _networks.ForEach(port => port.Start());
        _serials.ForEach(stream => stream.Start()); // may wait for a peer
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _owned.ForEach(owned => owned.Dispose());
        foreach (Vcpu vcpu in _vcpus)
        {
            vcpu.Dispose();
        }
    }

    // What a BIOS leaves behind: BARs placed, and the IRQs that PCI shares level-triggered at the PIC.
    private void SetUpFirmware()
    {
        PciFirmware.SetUp(_pci);
        _ports.Write(TriggerPort, 1, PciIrqsTrigger);
    }

    private Vcpu[] BuildVcpus(
        MachineConfig config, GuestRam ram, GuestTimers timers, HostEntropy entropy, BoardEvents events)
    {
        var bus = new MachineBus(_busLock, _mmio, _ports);
        CpuModel model = config.CpuModel is null ? CpuModel.Default : CpuModel.Named(config.CpuModel);
        CpuModelName = model.Name;
        var vcpus = new Vcpu[config.CpuCount];
        for (int i = 0; i < vcpus.Length; i++)
        {
            int index = i;
            vcpus[i] = new Vcpu(i, ram, bus, timers, new VcpuConfig
            {
                ApicBus = _interrupts,
                BusLock = _busLock,
                Model = model,
                Engine = config.Engine,
                TranslatedCodeBytes = config.CodeCacheBytes,
                CountsInstructions = config.CountsInstructions,
                OnTranslated = config.OnTranslated,
                OnCode = config.OnCode,
                HasPeers = config.CpuCount > 1,
                Peers = Peers,
                Entropy = entropy.Fill,
                OnWake = () => events.OnWake(index),
            });
            Own(vcpus[i], vcpus[i].Reset);
            Own(vcpus[i].LocalApic, vcpus[i].LocalApic.Reset);
        }

        return vcpus;
    }

    private void BuildTimekeeping(MachineConfig config, DeviceContext context)
    {
        // In legacy mode it takes over the lines of PIT and RTC.
        var hpet = new Hpet(context, () => _interrupts.IsTimerWaiting);
        hpet.Attach(_mmio);
        Own(hpet, hpet.Reset);
        var pit = new Pit8254(context, hpet.PitLine, () => hpet.IsPitEdgeWaiting);
        pit.Attach(_ports);
        Own(pit, pit.Reset);
        _interrupts.OnTimerTaken = () =>
        {
            hpet.OnTimerTaken();
            pit.OnTaken();
        };
        var rtc = new Rtc146818(
            context, hpet.RtcLine, new DateTimeOffset(config.RtcStart, TimeSpan.Zero).ToUnixTimeSeconds());
        rtc.SetMemorySize(context.Ram.LowBytes, context.Ram.LengthBytes - context.Ram.LowBytes);
        rtc.Attach(_ports);
        Own(rtc, rtc.Reset);
    }

    private void BuildPower(MachineConfig config, DeviceContext context, BoardEvents events)
    {
        var a20 = new A20Gate(open => Array.ForEach(_vcpus, vcpu => vcpu.IsAddressLine20Open = open));
        Own(a20, a20.Reset);
        var resetPort = new ResetPort(a20, events.OnReset);
        resetPort.Attach(_ports);
        Own(resetPort, resetPort.Reset);
        var keyboard = new I8042(context, a20, events.OnReset);
        keyboard.Attach(_ports);
        Own(keyboard, keyboard.Reset);
        var acpi = new AcpiPm(
            context, context.Line(SciIrq), () => events.OnEnd(new MachineEnd(MachineEndKind.PowerOff)));
        acpi.Attach(_ports);
        Own(acpi, acpi.Reset);
        var postCode = new PostCodePort();
        postCode.Attach(_ports);
        Own(postCode, postCode.Reset);
        var dma = new DmaController8237();
        dma.Attach(_ports);
        Own(dma, dma.Reset);
        var fwCfg = new FwCfg(context);
        fwCfg.Attach(_ports);
        Own(fwCfg, fwCfg.Reset);
        if (config.DebugExitPort is { } port)
        {
            new DebugExit(code => events.OnEnd(new MachineEnd(MachineEndKind.DebugExit, code)))
                .Attach(_ports, (ushort)port);
        }
    }

    private PciHost BuildPci(DeviceContext context, Pic8259 pic)
    {
        var host = new PciHost(context.DriveLine);
        _ports.Register("PCI configuration", 0xCF8, 8, host);
        Own(host, host.Reset);
        var isa = new Piix3IsaBridge(host, pic.Drive);
        Own(isa, isa.Reset);
        var power = new Piix4PowerManagement(host);
        Own(power, power.Reset);
        return host;
    }

    private void BuildVirtio(MachineConfig config, DeviceContext context, IReadOnlyList<IBlockDevice> drives)
    {
        Plug(context, EntropySlot, new VirtioRng(context, instance: 0));
        for (int i = 0; i < drives.Count; i++)
        {
            _owned.Add(drives[i]);
            bool isWriteback = config.Drives[i].Cache is not (CacheMode.Writethrough or CacheMode.Directsync);
            var options = new VirtioBlkOptions { Serial = config.Drives[i].Id, IsWriteback = isWriteback };
            var disk = new VirtioBlk(context, (ushort)i, drives[i], options);
            _disks.Add(disk);
            Plug(context, FirstDriveSlot + i, disk);
        }
    }

    private void BuildNics(MachineConfig config, DeviceContext context, IReadOnlyList<INetworkPort> networks)
    {
        for (int i = 0; i < networks.Count; i++)
        {
            _owned.Add(networks[i]);
            _networks.Add(networks[i]);
            NetworkOptions network = config.Networks[i];
            var options = new VirtioNetOptions { Mac = network.Mac, MtuBytes = (ushort)network.MtuBytes };
            Plug(context, FirstNicSlot + i, new VirtioNet(context, (ushort)i, networks[i], options));
        }
    }

    private void Plug(DeviceContext context, int slot, VirtioDevice device)
    {
        var transport = new VirtioPciTransport(context, _mmio, _pci, slot, device);
        _transports.Add(transport);
        Own(transport, transport.Reset);
    }

    private void BuildSerials(MachineConfig config, DeviceContext context, IReadOnlyList<IByteStream> serials)
    {
        int lines = 0;
        for (int i = 0; i < serials.Count; i++)
        {
            IByteStream stream = serials[i];
            _serials.Add(stream);
            _owned.Add(stream);
            if (!config.Serials[i].IsVirtio)
            {
                (ushort port, int irq) = s_serialLines[lines];
                var uart = new Serial16550(context, context.Line(irq), stream, (ushort)lines);
                uart.Attach(_ports, port);
                stream.OnInput = UnderBusLock(uart.Receive);
                Own(uart, uart.Reset);
                lines++;
            }
        }
    }

    // Behind the disks, so that a machine without one has the sections that it always had.
    private void BuildConsole(MachineConfig config, DeviceContext context, IReadOnlyList<IByteStream> serials)
    {
        for (int i = 0; i < serials.Count; i++)
        {
            if (config.Serials[i].IsVirtio)
            {
                var console = new VirtioConsole(context, instance: 0, serials[i]);
                Plug(context, ConsoleSlot, console);
                serials[i].OnInput = UnderBusLock(console.Receive);
            }
        }
    }

    private Func<ReadOnlyMemory<byte>, int> UnderBusLock(Func<ReadOnlySpan<byte>, int> receive) => bytes =>
    {
        lock (_busLock)
        {
            return receive(bytes.Span);
        }
    };

    private void Own(ICheckpointed component, Action reset)
    {
        _components.Add(component);
        _resets.Add(reset);
    }
}
