using Hypervisor.Core.Memory;

namespace Hypervisor.Machine.Boot;

/// <summary>The BIOS data area in guest RAM: all state that the firmware services keep.</summary>
internal sealed class BiosData(GuestRam ram)
{
    private const ulong Start = 0x400;
    private const ulong CursorOffset = 0x50;
    private const ulong KeyHead = 0x1A;
    private const ulong KeyTail = 0x1C;
    private const ushort KeyStart = 0x1E;
    private const ushort KeyEnd = 0x3E;

    /// <summary>Status of the last disk operation.</summary>
    public byte DiskStatus { get => Get8(0x74); set => Set8(0x74, value); }

    /// <summary>Number of drives from 80h on.</summary>
    public byte DriveCount { set => Set8(0x75, value); }

    /// <summary>Video mode.</summary>
    public byte VideoMode { get => Get8(0x49); set => Set8(0x49, value); }

    /// <summary>Cursor: column in the low byte, row in the high byte.</summary>
    public ushort Cursor { get => Get16(CursorOffset); set => Set16(CursorOffset, value); }

    /// <summary>Where the serial terminal's own cursor is: two bytes that the data area leaves to applications.</summary>
    public ushort TerminalCursor { get => Get16(0xF0); set => Set16(0xF0, value); }

    /// <summary>Cursor shape.</summary>
    public ushort CursorShape { get => Get16(0x60); set => Set16(0x60, value); }

    /// <summary>Timer ticks since midnight.</summary>
    public uint Ticks
    {
        get => Get16(0x6C) | ((uint)Get16(0x6E) << 16);
        set
        {
            Set16(0x6C, (ushort)value);
            Set16(0x6E, (ushort)(value >> 16));
        }
    }

    /// <summary>Midnight passed since the ticks were read.</summary>
    public byte MidnightPassed { get => Get8(0x70); set => Set8(0x70, value); }

    /// <summary>Equipment word.</summary>
    public ushort Equipment => Get16(0x10);

    /// <summary>Conventional memory in KiB.</summary>
    public ushort ConventionalKibibytes => Get16(0x13);

    /// <summary>Whether the keyboard buffer takes another key.</summary>
    public bool HasKeyRoom => Next(KeyPointer(KeyTail)) != KeyPointer(KeyHead);

    /// <summary>The next key (scan code, character), left in the buffer. False when there is none.</summary>
    public bool TryPeekKey(out ushort key)
    {
        ushort head = KeyPointer(KeyHead);
        key = Get16(head);
        return head != KeyPointer(KeyTail);
    }

    /// <summary>Takes the key that <see cref="TryPeekKey"/> showed.</summary>
    public void DropKey() => Set16(KeyHead, Next(KeyPointer(KeyHead)));

    /// <summary>Puts a key into the buffer. False when it is full.</summary>
    public bool TryAddKey(ushort key)
    {
        ushort tail = KeyPointer(KeyTail);
        if (!HasKeyRoom)
        {
            return false;
        }

        Set16(tail, key);
        Set16(KeyTail, Next(tail));
        return true;
    }

    private static ushort Next(ushort pointer) => pointer + 2 >= KeyEnd ? KeyStart : (ushort)(pointer + 2);

    // The guest can write anything here; a pointer outside the buffer counts as its start.
    private ushort KeyPointer(ulong offset)
    {
        ushort pointer = Get16(offset);
        return pointer is >= KeyStart and < KeyEnd && (pointer & 1) == 0 ? pointer : KeyStart;
    }

    private ushort Get16(ulong offset)
    {
        ram.TryReadU16(Start + offset, out ushort value);
        return value;
    }

    private byte Get8(ulong offset) => (byte)Get16(offset);

    private void Set16(ulong offset, ushort value) => ram.TryWrite(Start + offset, [(byte)value, (byte)(value >> 8)]);

    private void Set8(ulong offset, byte value) => ram.TryWrite(Start + offset, [value]);
}
