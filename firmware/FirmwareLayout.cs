namespace Hypervisor.Firmware;

/// <summary>What the firmware's code and the services in the host have agreed on.</summary>
/// <remarks>
/// Segment F000:
/// <code>
/// 0000  left free for the SMBIOS anchor
/// 0400  template of the interrupt vectors, copied to 0000:0000
/// 0800  template of the BIOS data area, copied to 0040:0000
/// 0900  system configuration (INT 15h C0h), diskette parameters (vector 1Eh), GDT
/// 1000  one entry of 8 bytes per served interrupt: push vector, jump to the common path
/// 2000  code
/// FFF0  reset vector, date, model byte
/// </code>
/// A service is called by a 32-bit OUT of the frame's linear address to <see cref="ServicePort"/>. The frame on the
/// caller's stack, from low to high addresses:
/// <code>
/// 00 ES | 02 DS | 04 EDI ESI EBP ESP EBX EDX ECX EAX | 24 vector u8, status u8 | 26 IP | 28 CS | 2A FLAGS
/// </code>
/// </remarks>
public static class FirmwareLayout
{
    /// <summary>First I/O port of the services; four ports, written with 32 bits only.</summary>
    public const ushort ServicePort = 0x520;

    /// <summary>Bytes of the frame.</summary>
    public const int FrameBytes = 0x2C;

    /// <summary>Offset in the frame of the vector; the status byte follows.</summary>
    public const int FrameVector = 0x24;

    /// <summary>Status: finished, return to the caller.</summary>
    public const byte StatusDone = 0;

    /// <summary>Status: call again soon (a disk works, the serial line is full).</summary>
    public const byte StatusAgain = 1;

    /// <summary>Status: call again after the next interrupt (nobody pressed a key).</summary>
    public const byte StatusHalt = 2;

    /// <summary>Pseudo vector by which the power-on code starts the services.</summary>
    public const byte VectorPowerOn = 0x00;

    /// <summary>Physical address of the image.</summary>
    public const uint ImageStart = 0xF_0000;

    /// <summary>Size of the image.</summary>
    public const int ImageBytes = 0x1_0000;

    /// <summary>Segment of the image.</summary>
    public const ushort Segment = 0xF000;

    /// <summary>Segment of the extended BIOS data area, 1 KiB at the top of conventional memory.</summary>
    public const ushort ExtendedDataSegment = 0x9FC0;

    /// <summary>Conventional memory in KiB.</summary>
    public const ushort ConventionalKibibytes = 639;

    /// <summary>Offset of the system configuration table that INT 15h C0h points to.</summary>
    public const ushort SystemConfiguration = 0x0900;

    internal const int VectorTemplate = 0x0400;
    internal const int DataTemplate = 0x0800;
    internal const ushort DisketteParameters = 0x0920;
    internal const int GdtPointer = 0x0940;
    internal const int Gdt = 0x0948;
    internal const int Entries = 0x1000;
    internal const int EntryBytes = 8;
    internal const ushort Code = 0x2000;
    internal const int ResetVector = 0xFFF0;
}
