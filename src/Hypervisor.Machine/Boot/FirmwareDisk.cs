using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Hypervisor.Backends.Block;
using Hypervisor.Core.Memory;
using Hypervisor.Devices;
using Hypervisor.Firmware;

namespace Hypervisor.Machine.Boot;

/// <summary>INT 13h: hard disks 80h and up, by cylinder-head-sector and by the extensions; and the boot of INT 19h.</summary>
/// <remarks>Spec: Phoenix Enhanced Disk Drive Specification 3.0.</remarks>
internal sealed class FirmwareDisk(GuestRam ram, IReadOnlyList<IBlockDevice> drives, BiosData data, IEventLoop eventLoop)
{
    private const byte FirstDrive = 0x80;
    private const int DrivesMax = 16;
    private const byte Ok = 0x00;
    private const byte BadCommand = 0x01;
    private const byte WriteProtected = 0x03;
    private const byte SectorNotFound = 0x04;
    private const byte ControllerFailed = 0x20;
    private const int HeadCount = 255;
    private const int TrackSectors = 63;
    private const int CylindersMax = 1024;
    private const ulong BootSector = 0x7C00;
    private const uint BootUnderWay = 0x3931_4648; // "HF19": EAX between two looks at the boot sector's request

    private readonly FirmwareDiskRequest _request = new(eventLoop);

    /// <summary>Drives that the guest sees.</summary>
    public int Count => Math.Min(drives.Count, DrivesMax);

    /// <summary>Forgets a request that a reset of the machine left behind.</summary>
    public void Reset()
    {
        _request.Forget();
        data.DriveCount = (byte)Count;
    }

    /// <summary>Serves one INT 13h.</summary>
    /// <returns>A status of <see cref="FirmwareLayout"/>.</returns>
    public byte Serve(FirmwareFrame frame)
    {
        if (frame.Ah == 0x01) // status of the last operation
        {
            frame.Finish(data.DiskStatus);
            return FirmwareLayout.StatusDone;
        }

        if (frame.Dl < FirstDrive || frame.Dl - FirstDrive >= Count)
        {
            return Finish(frame, BadCommand);
        }

        IBlockDevice drive = drives[frame.Dl - FirstDrive];
        switch (frame.Ah)
        {
            case 0x00 or 0x04 or 0x09 or 0x0C or 0x0D or 0x10 or 0x11 or 0x14 or 0x44 or 0x47: // reset, verify, seek, test
                return Finish(frame, Ok);
            case 0x02:
                return Geometric(frame, drive, BlockOperation.Read);
            case 0x03:
                return Geometric(frame, drive, BlockOperation.Write);
            case 0x08:
                return Geometry(frame, drive);
            case 0x15:
                return DriveType(frame, drive);
            case 0x41 when frame.Bx == 0x55AA:
                frame.Bx = 0xAA55;
                frame.Cx = 1; // the packet functions 42h-44h, 47h, 48h
                Finish(frame, Ok);
                frame.Ah = 0x30; // version 3.0
                return FirmwareLayout.StatusDone;
            case 0x42:
                return Packet(frame, drive, BlockOperation.Read);
            case 0x43:
                return Packet(frame, drive, BlockOperation.Write);
            case 0x48:
                return Finish(frame, WriteParameters(frame, drive));
            default:
                return Finish(frame, BadCommand);
        }
    }

    /// <summary>INT 19h: loads the first sector of the first drive whose sector ends in 55AA, and leaves to it.</summary>
    /// <returns>A status of <see cref="FirmwareLayout"/>; done with DL = 0 when no drive boots.</returns>
    public byte Boot(FirmwareFrame frame)
    {
        // DH counts the drives tried: it is in the frame, so it survives a takeover in the middle.
        if (frame.Eax != BootUnderWay)
        {
            frame.Eax = BootUnderWay;
            frame.Dh = 0;
        }

        for (; frame.Dh < Count; frame.Dh++)
        {
            if (!_request.TryFinish(drives[frame.Dh], BlockOperation.Read, 0, 1, null))
            {
                return FirmwareLayout.StatusAgain;
            }

            Span<byte> sector = _request.Data;
            if (_request.Status == BlockStatus.Ok && sector[510] == 0x55 && sector[511] == 0xAA
                && ram.TryWrite(BootSector, sector))
            {
                frame.Dx = (ushort)(FirstDrive + frame.Dh);
                frame.Es = 0;
                frame.Ax = 0xAA55;
                frame.ReturnTo(0, (ushort)BootSector);
                return FirmwareLayout.StatusDone;
            }
        }

        frame.Dl = 0;
        return FirmwareLayout.StatusDone;
    }

    private static long Sectors(IBlockDevice drive) => drive.LengthBytes / FirmwareDiskRequest.SectorBytes;

    private static long Cylinders(IBlockDevice drive)
        => Math.Clamp(Sectors(drive) / (HeadCount * TrackSectors), 1, CylindersMax);

    private byte Finish(FirmwareFrame frame, byte code)
    {
        data.DiskStatus = code;
        frame.Finish(code);
        return FirmwareLayout.StatusDone;
    }

    // CH and the top bits of CL: cylinder; CL bits 5-0: sector from 1; DH: head; AL: count; ES:BX: buffer.
    private byte Geometric(FirmwareFrame frame, IBlockDevice drive, BlockOperation operation)
    {
        int cylinder = frame.Ch | ((frame.Cl & 0xC0) << 2);
        int sector = frame.Cl & 0x3F;
        if (sector == 0 || frame.Dh >= HeadCount || frame.Al == 0)
        {
            return Finish(frame, BadCommand);
        }

        long start = ((((long)cylinder * HeadCount) + frame.Dh) * TrackSectors) + sector - 1;
        ulong gpa = ((ulong)frame.Es << 4) + frame.Bx;
        byte status = Move(drive, operation, start, frame.Al, gpa, out byte code);
        if (status != FirmwareLayout.StatusDone)
        {
            return status;
        }

        if (code != Ok)
        {
            frame.Al = 0;
        }

        return Finish(frame, code);
    }

    // DS:SI: packet. 00 size u8, 02 count u16, 04 buffer offset u16, 06 segment u16, 08 start u64, 10 flat address u64
    private byte Packet(FirmwareFrame frame, IBlockDevice drive, BlockOperation operation)
    {
        ulong packetGpa = ((ulong)frame.Ds << 4) + frame.Si;
        Span<byte> packet = stackalloc byte[24];
        packet.Clear();
        if (!ram.TryRead(packetGpa, packet[..16]) || packet[0] < 16)
        {
            return Finish(frame, BadCommand);
        }

        uint pointer = BinaryPrimitives.ReadUInt32LittleEndian(packet[4..]);
        ulong gpa = ((ulong)(pointer >> 16) << 4) + (ushort)pointer;
        if (pointer == uint.MaxValue && packet[0] >= 24 && ram.TryRead(packetGpa, packet))
        {
            gpa = BinaryPrimitives.ReadUInt64LittleEndian(packet[16..]);
        }

        ulong start = BinaryPrimitives.ReadUInt64LittleEndian(packet[8..]);
        int count = BinaryPrimitives.ReadUInt16LittleEndian(packet[2..]);
        byte code = SectorNotFound;
        if (start <= long.MaxValue)
        {
            byte status = Move(drive, operation, (long)start, count, gpa, out code);
            if (status != FirmwareLayout.StatusDone)
            {
                return status;
            }
        }

        if (code != Ok)
        {
            ram.TryWrite(packetGpa + 2, [0, 0]); // blocks moved
        }

        return Finish(frame, code);
    }

    private byte Move(
        IBlockDevice drive, BlockOperation operation, long start, int count, ulong gpa, out byte code)
    {
        code = Refusal(drive, operation, start, count, gpa);
        if (code != Ok || count == 0)
        {
            return FirmwareLayout.StatusDone;
        }

        Action<byte[]>? fill = operation == BlockOperation.Write
            ? buffer => ram.TryRead(gpa, buffer.AsSpan(0, count * FirmwareDiskRequest.SectorBytes))
            : null;
        if (!_request.TryFinish(drive, operation, start, count, fill))
        {
            return FirmwareLayout.StatusAgain;
        }

        code = _request.Status == BlockStatus.Ok ? Ok : ControllerFailed;
        if (code == Ok && operation == BlockOperation.Read)
        {
            ram.TryWrite(gpa, _request.Data);
        }

        return FirmwareLayout.StatusDone;
    }

    private byte Refusal(IBlockDevice drive, BlockOperation operation, long start, int count, ulong gpa)
    {
        if (count > FirmwareDiskRequest.SectorsMax
            || !ram.TryGetOffset(gpa, (long)count * FirmwareDiskRequest.SectorBytes, out _))
        {
            return BadCommand;
        }

        if (start > Sectors(drive) || count > Sectors(drive) - start)
        {
            return SectorNotFound;
        }

        return operation == BlockOperation.Write && drive.IsReadOnly ? WriteProtected : Ok;
    }

    private byte Geometry(FirmwareFrame frame, IBlockDevice drive)
    {
        int lastCylinder = (int)Cylinders(drive) - 1;
        frame.Ch = (byte)lastCylinder;
        frame.Cl = (byte)(TrackSectors | ((lastCylinder >> 2) & 0xC0));
        frame.Dh = HeadCount - 1;
        frame.Dl = (byte)Count;
        frame.Bl = 0;
        frame.Al = 0;
        return Finish(frame, Ok);
    }

    private byte DriveType(FirmwareFrame frame, IBlockDevice drive)
    {
        const byte FixedDisk = 3;
        uint sectors = (uint)Math.Min(Sectors(drive), uint.MaxValue);
        frame.Cx = (ushort)(sectors >> 16);
        frame.Dx = (ushort)sectors;
        Finish(frame, Ok);
        frame.Ah = FixedDisk;
        return FirmwareLayout.StatusDone;
    }

    // Result buffer at DS:SI, 26 bytes: size u16, flags u16, cylinders, heads, track sectors u32, sectors u64, bytes u16.
    private byte WriteParameters(FirmwareFrame frame, IBlockDevice drive)
    {
        const int Bytes = 26;
        ulong gpa = ((ulong)frame.Ds << 4) + frame.Si;
        if (!ram.TryReadU16(gpa, out ushort room) || room < Bytes)
        {
            return BadCommand;
        }

        Span<byte> result = stackalloc byte[Bytes];
        BinaryPrimitives.WriteUInt16LittleEndian(result, Bytes);
        BinaryPrimitives.WriteUInt16LittleEndian(result[2..], 2); // the geometry is valid
        BinaryPrimitives.WriteUInt32LittleEndian(result[4..], (uint)Cylinders(drive));
        BinaryPrimitives.WriteUInt32LittleEndian(result[8..], HeadCount);
        BinaryPrimitives.WriteUInt32LittleEndian(result[12..], TrackSectors);
        BinaryPrimitives.WriteInt64LittleEndian(result[16..], Sectors(drive));
        BinaryPrimitives.WriteUInt16LittleEndian(result[24..], FirmwareDiskRequest.SectorBytes);
        return ram.TryWrite(gpa, result) ? Ok : BadCommand;
    }
}
