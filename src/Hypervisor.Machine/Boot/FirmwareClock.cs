using Hypervisor.Devices.Bus;

namespace Hypervisor.Machine.Boot;

/// <summary>INT 1Ah: timer ticks, RTC, and the PCI BIOS.</summary>
/// <remarks>Spec: PCI BIOS Specification 2.1.</remarks>
internal sealed class FirmwareClock(PortBus ports, BiosData data)
{
    private const ushort RtcIndex = 0x70;
    private const ushort RtcData = 0x71;
    private const ushort PciAddress = 0xCF8;
    private const ushort PciData = 0xCFC;
    private const uint PciEnable = 0x8000_0000;
    private const byte PciUnsupported = 0x81;
    private const byte PciNotFound = 0x86;
    private const byte PciBadRegister = 0x87;
    private const int FunctionCount = 256; // devices and functions of bus 0

    /// <summary>Serves one INT 1Ah.</summary>
    public void Serve(FirmwareFrame frame)
    {
        switch (frame.Ah)
        {
            case 0x00:
                frame.Cx = (ushort)(data.Ticks >> 16);
                frame.Dx = (ushort)data.Ticks;
                frame.Al = data.MidnightPassed;
                data.MidnightPassed = 0;
                frame.Carry = false;
                break;
            case 0x01:
                data.Ticks = ((uint)frame.Cx << 16) | frame.Dx;
                data.MidnightPassed = 0;
                frame.Carry = false;
                break;
            case 0x02: // BCD hours, minutes, seconds
                frame.Ch = ReadRtc(4);
                frame.Cl = ReadRtc(2);
                frame.Dh = ReadRtc(0);
                frame.Dl = 0;
                frame.Carry = false;
                break;
            case 0x04: // BCD century, year, month, day
                frame.Ch = ReadRtc(0x32);
                frame.Cl = ReadRtc(9);
                frame.Dh = ReadRtc(8);
                frame.Dl = ReadRtc(7);
                frame.Carry = false;
                break;
            case 0xB1:
                ServePci(frame);
                break;
            default:
                frame.Carry = true;
                break;
        }
    }

    private void ServePci(FirmwareFrame frame)
    {
        switch (frame.Al & 0x7F)
        {
            case 0x01:
                frame.Edx = 0x2049_4350; // "PCI "
                frame.Edi = 0;           // no 32-bit entry
                frame.Bx = 0x0210;
                frame.Cl = 0;            // last bus
                frame.Al = 1;            // configuration mechanism 1
                frame.Finish(0);
                break;
            case 0x02:
                Find(frame, register: 0, mask: uint.MaxValue, ((uint)frame.Cx << 16) | frame.Dx);
                break;
            case 0x03:
                Find(frame, register: 8, mask: 0xFFFF_FF00, frame.Ecx << 8);
                break;
            case >= 0x08 and <= 0x0D:
                Access(frame);
                break;
            default:
                frame.Finish(PciUnsupported);
                break;
        }
    }

    // SI: which one of several. Out: BH bus, BL device and function.
    private void Find(FirmwareFrame frame, int register, uint mask, uint wanted)
    {
        int skip = frame.Si;
        for (int function = 0; function < FunctionCount; function++)
        {
            ports.Write(PciAddress, 4, PciEnable | ((uint)function << 8) | (uint)register);
            if ((ports.Read(PciData, 4) & mask) == (wanted & mask) && skip-- == 0)
            {
                frame.Bx = (ushort)function;
                frame.Finish(0);
                return;
            }
        }

        frame.Finish(PciNotFound);
    }

    // AL 08-0A read, 0B-0D write a byte, word, dword; BX bus, device and function; DI register; ECX value.
    private void Access(FirmwareFrame frame)
    {
        int operation = (frame.Al & 0x7F) - 0x08;
        int sizeBytes = 1 << (operation % 3);
        if (frame.Di > 0xFF || frame.Di % sizeBytes != 0)
        {
            frame.Finish(PciBadRegister);
            return;
        }

        ports.Write(PciAddress, 4, PciEnable | ((uint)frame.Bx << 8) | (frame.Di & 0xFCu));
        ushort port = (ushort)(PciData + (frame.Di & 3));
        if (operation >= 3)
        {
            ports.Write(port, sizeBytes, frame.Ecx);
        }
        else
        {
            uint value = ports.Read(port, sizeBytes);
            uint kept = sizeBytes == 4 ? 0 : frame.Ecx & (uint.MaxValue << (8 * sizeBytes));
            frame.Ecx = kept | value;
        }

        frame.Finish(0);
    }

    private byte ReadRtc(byte register)
    {
        ports.Write(RtcIndex, 1, register);
        return (byte)ports.Read(RtcData, 1);
    }
}
