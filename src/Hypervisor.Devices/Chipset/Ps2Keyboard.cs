using System;
using Hypervisor.Core.State;

namespace Hypervisor.Devices.Chipset;

/// <summary>A 101-key PS/2 keyboard behind the i8042.</summary>
/// <remarks>
/// Spec: IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-key)", commands and scan sets.
/// </remarks>
internal sealed class Ps2Keyboard
{
    private const byte Extended = 0xE0;
    private const byte ReleaseBit = 0x80;    // of scan set 1
    private const byte ReleasePrefix = 0xF0; // of scan set 2

    private readonly Ps2Dialogue _host = new();

    private bool _isDisabled;     // does not scan
    private bool _isSet1;         // speaks scan set 1, not 2
    private byte _leds;

    /// <summary>What the controller translates from: index is scan set 1, value is scan set 2.</summary>
    private static ReadOnlySpan<byte> Set2Codes =>
    [
        0x00, 0x76, 0x16, 0x1E, 0x26, 0x25, 0x2E, 0x36, 0x3D, 0x3E, 0x46, 0x45, 0x4E, 0x55, 0x66, 0x0D,
        0x15, 0x1D, 0x24, 0x2D, 0x2C, 0x35, 0x3C, 0x43, 0x44, 0x4D, 0x54, 0x5B, 0x5A, 0x14, 0x1C, 0x1B,
        0x23, 0x2B, 0x34, 0x33, 0x3B, 0x42, 0x4B, 0x4C, 0x52, 0x0E, 0x12, 0x5D, 0x1A, 0x22, 0x21, 0x2A,
        0x32, 0x31, 0x3A, 0x41, 0x49, 0x4A, 0x59, 0x7C, 0x11, 0x29, 0x58, 0x05, 0x06, 0x04, 0x0C, 0x03,
        0x0B, 0x02, 0x0A, 0x01, 0x09, 0x77, 0x7E, 0x6C, 0x75, 0x7D, 0x7B, 0x6B, 0x73, 0x74, 0x79, 0x69,
        0x72, 0x7A, 0x70, 0x71, 0x7F, 0x60, 0x61, 0x78, 0x07, 0x0F, 0x17, 0x1F, 0x27, 0x2F, 0x37, 0x3F,
        0x47, 0x4F, 0x56, 0x5E, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x40, 0x48, 0x50, 0x57, 0x6F,
        0x13, 0x19, 0x39, 0x51, 0x53, 0x5C, 0x5F, 0x62, 0x63, 0x64, 0x65, 0x67, 0x68, 0x6A, 0x6D, 0x6E,
    ];

    public bool HasByte => !_host.IsEmpty;

    /// <summary>Scroll, num and caps lock LEDs, bits 0 to 2.</summary>
    public byte Leds => _leds;

    public void Reset()
    {
        _host.Reset();
        SetDefaults();
        _leds = 0;
    }

    /// <summary>Takes the next byte for the host; in scan set 1 when the controller translates.</summary>
    public byte Take(bool translates)
    {
        byte value = _host.Take();
        return translates && value == 0x83 ? (byte)0x41 : value; // the second byte of the identity translates, too
    }

    /// <summary>
    /// A key went down or up. Returns false, and drops it, when the queue is full or scanning is off.
    /// </summary>
    /// <param name="code">Scan code of set 1, 01-7F, with E000 added for the extended keys.</param>
    /// <param name="isDown">Pressed, or repeated.</param>
    /// <param name="translates">Whether the controller makes set 1 of what a set 2 keyboard says.</param>
    public bool TrySend(int code, bool isDown, bool translates)
    {
        if (_isDisabled || !_host.HasRoom(3))
        {
            return false;
        }

        if ((code & 0xFF00) != 0)
        {
            _host.Add(Extended);
        }

        byte key = (byte)(code & 0x7F);
        if (translates || _isSet1)
        {
            _host.Add((byte)(key | (isDown ? 0 : ReleaseBit)));
        }
        else if (isDown)
        {
            _host.Add(Set2Codes[key]);
        }
        else
        {
            _host.Add(ReleasePrefix, Set2Codes[key]);
        }

        return true;
    }

    public void Write(byte value)
    {
        switch (_host.TakeWaitingCommand())
        {
            case 0xED:
                _leds = (byte)(value & 7);
                _host.Acknowledge();
                break;
            case 0xF0:
                SelectScanSet(value);
                break;
            case 0xF3: // repeat rate: whoever holds the keys repeats them
                _host.Acknowledge();
                break;
            default:
                WriteCommand(value);
                break;
        }
    }

    public void Transfer(ref StateCodec state)
    {
        _host.Transfer(ref state);
        state.Bool(ref _isDisabled);
        state.Bool(ref _isSet1);
        state.U8(ref _leds);
    }

    private void WriteCommand(byte value)
    {
        switch (value)
        {
            case 0xED or 0xF0 or 0xF3:
                _host.AwaitParameter(value);
                _host.Acknowledge();
                break;
            case 0xEE: // echo
                _host.Add(0xEE);
                break;
            case 0xF2: // identify
                _host.Acknowledge(0xAB, 0x83);
                break;
            case 0xF4:
                _isDisabled = false;
                _host.Acknowledge();
                break;
            case 0xF5:
                SetDefaults();
                _isDisabled = true;
                _host.Acknowledge();
                break;
            case 0xF6:
                SetDefaults();
                _host.Acknowledge();
                break;
            case >= 0xF7 and <= 0xFD: // key types of set 3
                _host.Acknowledge();
                break;
            case 0xFF:
                Reset();
                _host.Acknowledge(Ps2Dialogue.SelfTestPassed);
                break;
            default:
                _host.Refuse();
                break;
        }
    }

    private void SelectScanSet(byte value)
    {
        if (value > 2)
        {
            _host.Refuse(); // set 3 is not offered
            return;
        }

        _host.Acknowledge();
        if (value == 0)
        {
            _host.Add((byte)(_isSet1 ? 1 : 2));
        }
        else
        {
            _isSet1 = value == 1;
        }
    }

    private void SetDefaults()
    {
        _isDisabled = false;
        _isSet1 = false;
    }
}
