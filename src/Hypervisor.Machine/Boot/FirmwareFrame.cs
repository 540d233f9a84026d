using System;
using System.Buffers.Binary;
using Hypervisor.Firmware;

namespace Hypervisor.Machine.Boot;

/// <summary>The registers of a real-mode caller, as the firmware's stub laid them on the stack.</summary>
/// <remarks>Layout: <see cref="FirmwareLayout"/>.</remarks>
internal readonly ref struct FirmwareFrame(Span<byte> bytes)
{
    private const ushort CarryFlag = 0x0001;
    private const ushort ZeroFlag = 0x0040;
    private const int FlagsOffset = 0x2A;

    private readonly Span<byte> _bytes = bytes;

    public ushort Es { get => Get16(0x00); set => Set16(0x00, value); }

    public ushort Ds => Get16(0x02);

    public uint Edi { get => Get32(0x04); set => Set32(0x04, value); }

    public uint Ebx { get => Get32(0x14); set => Set32(0x14, value); }

    public uint Edx { get => Get32(0x18); set => Set32(0x18, value); }

    public uint Ecx { get => Get32(0x1C); set => Set32(0x1C, value); }

    public uint Eax { get => Get32(0x20); set => Set32(0x20, value); }

    public ushort Di { get => Get16(0x04); set => Set16(0x04, value); }

    public ushort Si => Get16(0x08);

    public ushort Bp => Get16(0x0C);

    public ushort Bx { get => Get16(0x14); set => Set16(0x14, value); }

    public ushort Dx { get => Get16(0x18); set => Set16(0x18, value); }

    public ushort Cx { get => Get16(0x1C); set => Set16(0x1C, value); }

    public ushort Ax { get => Get16(0x20); set => Set16(0x20, value); }

    public byte Bl { get => _bytes[0x14]; set => _bytes[0x14] = value; }

    public byte Bh { get => _bytes[0x15]; set => _bytes[0x15] = value; }

    public byte Dl { get => _bytes[0x18]; set => _bytes[0x18] = value; }

    public byte Dh { get => _bytes[0x19]; set => _bytes[0x19] = value; }

    public byte Cl { get => _bytes[0x1C]; set => _bytes[0x1C] = value; }

    public byte Ch { get => _bytes[0x1D]; set => _bytes[0x1D] = value; }

    public byte Al { get => _bytes[0x20]; set => _bytes[0x20] = value; }

    public byte Ah { get => _bytes[0x21]; set => _bytes[0x21] = value; }

    public byte Vector => _bytes[FirmwareLayout.FrameVector];

    public byte Status { set => _bytes[FirmwareLayout.FrameVector + 1] = value; }

    public bool Carry
    {
        get => (Get16(FlagsOffset) & CarryFlag) != 0;
        set => SetFlag(CarryFlag, value);
    }

    public bool Zero { set => SetFlag(ZeroFlag, value); }

    /// <summary>Where the stub's IRET goes: used to start a boot sector.</summary>
    public void ReturnTo(ushort segment, ushort offset)
    {
        Set16(0x26, offset);
        Set16(0x28, segment);
    }

    /// <summary>Success or an error code in AH, as disk and system services have it.</summary>
    public void Finish(byte code)
    {
        Ah = code;
        Carry = code != 0;
    }

    private void SetFlag(ushort flag, bool value)
    {
        ushort flags = Get16(FlagsOffset);
        Set16(FlagsOffset, (ushort)(value ? flags | flag : flags & ~flag));
    }

    private ushort Get16(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(_bytes[offset..]);

    private uint Get32(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_bytes[offset..]);

    private void Set16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(_bytes[offset..], value);

    private void Set32(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_bytes[offset..], value);
}
