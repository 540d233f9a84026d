using Hypervisor.Core.State;

namespace Hypervisor.Devices.Chipset;

/// <summary>A two-button PS/2 mouse behind the i8042 that answers every command and never moves.</summary>
/// <remarks>Spec: IBM PS/2 Hardware Interface Technical Reference, "Auxiliary device", commands.</remarks>
internal sealed class Ps2Mouse
{
    private const byte Acknowledge = 0xFA;
    private const byte Resend = 0xFE;
    private const byte SelfTestPassed = 0xAA;
    private const byte Identity = 0x00;
    private const byte NoCommand = 0x00;
    private const byte RemoteMode = 0x40;  // of the status, as the next two
    private const byte Reporting = 0x20;
    private const byte DoubleScale = 0x10;

    private readonly Ps2Queue _queue = new();

    private byte _waitingCommand; // whose parameter is due
    private bool _isWrapping;     // echoes everything
    private byte _status;
    private byte _resolution = 2;
    private byte _sampleRate = 100;

    public bool HasByte => !_queue.IsEmpty;

    public byte Take() => _queue.Take();

    public void Reset()
    {
        _queue.Clear();
        _waitingCommand = NoCommand;
        _isWrapping = false;
        SetDefaults();
    }

    public void Write(byte value)
    {
        if (_isWrapping && value is not (0xEC or 0xFF))
        {
            _queue.Add(value);
            return;
        }

        byte command = _waitingCommand;
        _waitingCommand = NoCommand;
        switch (command)
        {
            case 0xE8:
                _resolution = (byte)(value & 3);
                _queue.Add(Acknowledge);
                break;
            case 0xF3:
                _sampleRate = value;
                _queue.Add(Acknowledge);
                break;
            default:
                WriteCommand(value);
                break;
        }
    }

    public void Transfer(ref StateCodec state)
    {
        _queue.Transfer(ref state);
        state.U8(ref _waitingCommand);
        state.Bool(ref _isWrapping);
        state.U8(ref _status);
        state.U8(ref _resolution);
        state.U8(ref _sampleRate);
    }

    private void WriteCommand(byte value)
    {
        _queue.Add(value is (>= 0xE6 and <= 0xEE and not 0xED) or (>= 0xF0 and <= 0xF6 and not 0xF1) or 0xEA or 0xFF
            ? Acknowledge : Resend);
        switch (value)
        {
            case 0xE6:
                _status &= unchecked((byte)~DoubleScale);
                break;
            case 0xE7:
                _status |= DoubleScale;
                break;
            case 0xE8 or 0xF3:
                _waitingCommand = value;
                break;
            case 0xE9:
                _queue.Add(_status, _resolution, _sampleRate);
                break;
            case 0xEA:
                _status &= unchecked((byte)~RemoteMode);
                break;
            case 0xEB: // read data: nothing moved
                _queue.Add(0x08, 0x00, 0x00);
                break;
            case 0xEC or 0xEE:
                _isWrapping = value == 0xEE;
                break;
            case 0xF0:
                _status |= RemoteMode;
                break;
            case 0xF2:
                _queue.Add(Identity);
                break;
            case 0xF4:
                _status |= Reporting;
                break;
            case 0xF5:
                _status &= unchecked((byte)~Reporting);
                break;
            case 0xF6:
                SetDefaults();
                break;
            case 0xFF:
                Reset();
                _queue.Add(Acknowledge, SelfTestPassed, Identity);
                break;
            default:
                break;
        }
    }

    private void SetDefaults()
    {
        _status = 0;
        _resolution = 2;
        _sampleRate = 100;
    }
}
