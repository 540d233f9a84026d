using System;
using System.Globalization;
using System.Text;
using Hypervisor.Core.Memory;
using Hypervisor.Devices.Bus;
using Hypervisor.Firmware;

namespace Hypervisor.Machine.Boot;

/// <summary>INT 10h and INT 16h on the serial line COM1: an 80 × 25 text screen for a terminal.</summary>
/// <remarks>
/// The screen has a cursor (BIOS data area), the terminal has its own. Text goes out as it comes; only where the two
/// differ a control sequence (ECMA-48, CUP) moves the terminal's.
/// </remarks>
internal sealed class FirmwareConsole(GuestRam ram, PortBus ports, BiosData data)
{
    private const ushort DataPort = 0x3F8;
    private const ushort LineStatusPort = 0x3FD;
    private const int Columns = 80;
    private const int Rows = 25;
    private const int TextMax = Columns * Rows;
    private const int RepeatMax = Columns;
    private const byte TextMode = 3;
    private const byte Bell = 7;
    private const byte Backspace = 8;
    private const byte LineFeed = 10;
    private const byte CarriageReturn = 13;
    private const byte Delete = 0x7F;

    // Index + 1 is the scan code (set 1) of a key on a US keyboard.
    private const string ScanCodes = "\u001B1234567890-=\b\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";

    /// <summary>Serves one INT 10h.</summary>
    public void ServeVideo(FirmwareFrame frame)
    {
        switch (frame.Ah)
        {
            case 0x00: // set mode: there is one
                data.VideoMode = TextMode;
                data.Cursor = 0;
                break;
            case 0x01:
                data.CursorShape = frame.Cx;
                break;
            case 0x02:
                SetCursor(frame.Dx);
                break;
            case 0x03:
                frame.Cx = data.CursorShape;
                frame.Dx = data.Cursor;
                break;
            case 0x08:
                frame.Ax = 0x0720; // a grey blank: the screen is not kept
                break;
            case 0x09 or 0x0A:
                WriteAtCursor(frame.Al, Math.Min((int)frame.Cx, RepeatMax));
                break;
            case 0x0E:
                Teletype(frame.Al);
                break;
            case 0x0F:
                frame.Ax = (Columns << 8) | TextMode;
                frame.Bh = 0;
                break;
            case 0x13:
                WriteString(frame);
                break;
            case 0x4F:
                frame.Ax = 0x014F; // VBE: known function family, call failed
                break;
            default:
                break; // scrolling, palettes, fonts: nothing to be seen on a serial line
        }
    }

    /// <summary>Serves one INT 16h.</summary>
    /// <returns>A status of <see cref="FirmwareLayout"/>.</returns>
    public byte ServeKeyboard(FirmwareFrame frame)
    {
        TakeInput();
        bool hasKey = data.TryPeekKey(out ushort key);
        switch (frame.Ah)
        {
            case 0x00 or 0x10:
                if (!hasKey)
                {
                    return FirmwareLayout.StatusHalt;
                }

                data.DropKey();
                frame.Ax = key;
                break;
            case 0x01 or 0x11:
                frame.Zero = !hasKey;
                frame.Ax = hasKey ? key : frame.Ax;
                break;
            case 0x02 or 0x12:
                frame.Al = 0; // no shift key is down
                break;
            case 0x05:
                frame.Al = data.TryAddKey(frame.Cx) ? (byte)0 : (byte)1;
                break;
            default:
                break;
        }

        return FirmwareLayout.StatusDone;
    }

    /// <summary>Prints a message of the firmware.</summary>
    public void Print(string text)
    {
        foreach (byte b in Encoding.ASCII.GetBytes(text))
        {
            Teletype(b);
        }
    }

    private static ushort KeyOf(byte character)
    {
        byte ascii = character == Delete ? Backspace : character;
        int index = ScanCodes.IndexOf(char.ToLowerInvariant((char)ascii), StringComparison.Ordinal);
        return (ushort)(((index + 1) << 8) | ascii);
    }

    private void Teletype(byte character)
    {
        ushort cursor = data.Cursor;
        MoveTerminal(cursor);
        Send(character);
        data.Cursor = data.TerminalCursor = After(cursor, character);
    }

    // The cursor stays, as the interface wants it; the terminal's has moved, and is moved again when it matters.
    private void WriteAtCursor(byte character, int count)
    {
        ushort cursor = data.Cursor;
        MoveTerminal(cursor);
        for (int i = 0; i < count; i++)
        {
            Send(character < 0x20 ? (byte)' ' : character);
            data.TerminalCursor = After(data.TerminalCursor, (byte)' ');
        }
    }

    private void SetCursor(ushort cursor)
    {
        int row = Math.Min(cursor >> 8, Rows - 1);
        int column = Math.Min(cursor & 0xFF, Columns - 1);
        data.Cursor = (ushort)((row << 8) | column);
    }

    private void MoveTerminal(ushort cursor)
    {
        ushort terminal = data.TerminalCursor;
        if (terminal == cursor)
        {
            return;
        }

        int row = (cursor >> 8) + 1;
        int column = (cursor & 0xFF) + 1;
        string sequence = string.Create(CultureInfo.InvariantCulture, $"\u001B[{row};{column}H");
        foreach (byte b in Encoding.ASCII.GetBytes(sequence))
        {
            Send(b);
        }

        data.TerminalCursor = cursor;
    }

    private static ushort After(ushort cursor, byte character)
    {
        int row = cursor >> 8;
        int column = cursor & 0xFF;
        switch (character)
        {
            case Bell:
                break;
            case Backspace:
                column = Math.Max(column - 1, 0);
                break;
            case LineFeed:
                row++;
                break;
            case CarriageReturn:
                column = 0;
                break;
            default:
                column++;
                break;
        }

        if (column >= Columns)
        {
            column = 0;
            row++;
        }

        return (ushort)((Math.Min(row, Rows - 1) << 8) | column);
    }

    // ES:BP text, CX characters, DX position, AL bit 0: move the cursor, bit 1: each character has its attribute behind it.
    private void WriteString(FirmwareFrame frame)
    {
        ushort before = data.Cursor;
        int step = (frame.Al & 2) != 0 ? 2 : 1;
        int count = Math.Min((int)frame.Cx, TextMax);
        Span<byte> character = stackalloc byte[1];
        SetCursor(frame.Dx);
        for (int i = 0; i < count; i++)
        {
            ulong gpa = ((ulong)frame.Es << 4) + (ushort)(frame.Bp + (i * step));
            if (!ram.TryRead(gpa, character))
            {
                break;
            }

            Teletype(character[0]);
        }

        if ((frame.Al & 1) == 0)
        {
            data.Cursor = before;
        }
    }

    // Moves what the serial line received into the keyboard buffer, as far as there is room.
    private void TakeInput()
    {
        const uint DataReady = 1;
        for (int i = 0; i < 16 && (ports.Read(LineStatusPort, 1) & DataReady) != 0 && data.HasKeyRoom; i++)
        {
            data.TryAddKey(KeyOf((byte)ports.Read(DataPort, 1)));
        }
    }

    private void Send(byte value) => ports.Write(DataPort, 1, value);
}
