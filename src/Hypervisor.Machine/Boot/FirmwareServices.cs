using System;
using System.Collections.Generic;
using Hypervisor.Backends.Block;
using Hypervisor.Core.Memory;
using Hypervisor.Devices;
using Hypervisor.Devices.Bus;
using Hypervisor.Firmware;

namespace Hypervisor.Machine.Boot;

/// <summary>The BIOS calls of our firmware: the guest's stub writes the address of its saved registers to a port.</summary>
/// <remarks>
/// Nothing here is state of the machine: what a BIOS remembers is in the BIOS data area, and a call that must wait
/// (disk, keyboard) waits in the guest, which asks again. So there is no checkpoint section.
/// </remarks>
public sealed class FirmwareServices : IPortDevice
{
    private readonly GuestRam _ram;
    private readonly BiosData _data;
    private readonly FirmwareConsole _console;
    private readonly FirmwareDisk _disk;
    private readonly FirmwareSystem _system;
    private readonly FirmwareClock _clock;

    /// <summary>Services of one machine.</summary>
    /// <param name="ram">Guest RAM.</param>
    /// <param name="drives">Drives 80h and up, in this order.</param>
    /// <param name="ports">The board's ports: COM1, RTC, A20, PCI.</param>
    /// <param name="eventLoop">Where disk requests complete.</param>
    public FirmwareServices(GuestRam ram, IReadOnlyList<IBlockDevice> drives, PortBus ports, IEventLoop eventLoop)
    {
        _ram = ram;
        _data = new BiosData(ram);
        _console = new FirmwareConsole(ram, ports, _data);
        _disk = new FirmwareDisk(ram, drives, _data, eventLoop);
        _system = new FirmwareSystem(ram, MemoryMap.Of(ram), ports);
        _clock = new FirmwareClock(ports, _data);
    }

    /// <summary>Claims the port.</summary>
    public void Attach(PortBus ports) => ports.Register("firmware services", FirmwareLayout.ServicePort, 4, this);

    /// <inheritdoc/>
    public uint ReadPort(int offset, int sizeBytes) => uint.MaxValue >> (32 - (8 * sizeBytes));

    /// <inheritdoc/>
    public void WritePort(int offset, int sizeBytes, uint value)
    {
        Span<byte> bytes = stackalloc byte[FirmwareLayout.FrameBytes];
        if (offset != 0 || sizeBytes != 4 || !_ram.TryRead(value, bytes))
        {
            return; // not our stub
        }

        var frame = new FirmwareFrame(bytes);
        frame.Status = Serve(frame);
        _ram.TryWrite(value, bytes);
    }

    private byte Serve(FirmwareFrame frame)
    {
        switch (frame.Vector)
        {
            case FirmwareLayout.VectorPowerOn:
                _disk.Reset();
                return FirmwareLayout.StatusDone;
            case 0x10:
                _console.ServeVideo(frame);
                return FirmwareLayout.StatusDone;
            case 0x11:
                frame.Ax = _data.Equipment;
                return FirmwareLayout.StatusDone;
            case 0x12:
                frame.Ax = _data.ConventionalKibibytes;
                return FirmwareLayout.StatusDone;
            case 0x13:
                return _disk.Serve(frame);
            case 0x15:
                _system.Serve(frame);
                return FirmwareLayout.StatusDone;
            case 0x16:
                return _console.ServeKeyboard(frame);
            case 0x18:
                return NoBootDevice(frame);
            case 0x19:
                return Boot(frame);
            case 0x1A:
                _clock.Serve(frame);
                return FirmwareLayout.StatusDone;
            default:
                frame.Ah = 0x80; // serial port and printer services: timed out
                return FirmwareLayout.StatusDone;
        }
    }

    private byte Boot(FirmwareFrame frame)
    {
        byte status = _disk.Boot(frame);
        return status == FirmwareLayout.StatusDone && frame.Dl == 0 ? NoBootDevice(frame) : status;
    }

    // Says so once, then sleeps for good: INT 18h never returns.
    private byte NoBootDevice(FirmwareFrame frame)
    {
        const uint Said = 0x3831_4648; // "HF18"
        if (frame.Eax != Said)
        {
            _console.Print("No bootable drive.\r\n");
            frame.Eax = Said;
        }

        return FirmwareLayout.StatusHalt;
    }
}
