using Hypervisor.Core.State;

namespace Hypervisor.Devices.Chipset;

/// <summary>A two-button PS/2 mouse behind the i8042 that answers every command and never moves.</summary>
/// <remarks>Spec: IBM PS/2 Hardware Interface Technical Reference, "Auxiliary device", commands.</remarks>
internal sealed class Ps2Mouse
{
    private const byte Identity = 0x00;
    private const byte RemoteMode = 0x40;  // of the status, as the next two
    private const byte Reporting = 0x20;
    private const byte DoubleScale = 0x10;

    private readonly Ps2Dialogue _host = new();

    private bool _isWrapping;     // echoes everything
    private byte _status;
    private byte _resolution = 2;
    private byte _sampleRate = 100;

    public bool HasByte => !_host.IsEmpty;

    public byte Take() => _host.Take();

    public void Reset()
    {
        _host.Reset();
        _isWrapping = false;
        SetDefaults();
    }

    public void Write(byte value)
    {
        if (_isWrapping && value is not (0xEC or 0xFF))
        {
            _host.Add(value);
            return;
        }

        switch (_host.TakeWaitingCommand())
        {
            case 0xE8:
                _resolution = (byte)(value & 3);
                _host.Acknowledge();
                break;
            case 0xF3:
                _sampleRate = value;
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
        state.Bool(ref _isWrapping);
        state.U8(ref _status);
        state.U8(ref _resolution);
        state.U8(ref _sampleRate);
    }

    private void WriteCommand(byte value)
    {
        if (value is (>= 0xE6 and <= 0xEE and not 0xED) or (>= 0xF0 and <= 0xF6 and not 0xF1) or 0xFF)
        {
            _host.Acknowledge();
        }
        else
        {
            _host.Refuse();
        }

        switch (value)
        {
            case 0xE6:
                _status &= unchecked((byte)~DoubleScale);
                break;
            case 0xE7:
                _status |= DoubleScale;
                break;
            case 0xE8 or 0xF3:
                _host.AwaitParameter(value);
                break;
            case 0xE9:
                _host.Add(_status, _resolution, _sampleRate);
                break;
            case 0xEA:
                _status &= unchecked((byte)~RemoteMode);
                break;
            case 0xEB: // read data: nothing moved
                _host.Add(0x08, 0x00, 0x00);
                break;
            case 0xEC or 0xEE:
                _isWrapping = value == 0xEE;
                break;
            case 0xF0:
                _status |= RemoteMode;
                break;
            case 0xF2:
                _host.Add(Identity);
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
                _host.Acknowledge(Ps2Dialogue.SelfTestPassed, Identity);
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
