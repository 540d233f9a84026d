using System;
using Hypervisor.Core.State;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Devices.Chipset;

/// <summary>The PS/2 keyboard controller on ports 60 and 64, with a keyboard and a mouse on it.</summary>
/// <remarks>
/// Spec: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller". Its own answers
/// go before the devices' bytes; a byte enters the output buffer only when that is empty.
/// </remarks>
public sealed class I8042 : ICheckpointed
{
    private const byte StatusOutputFull = 0x01;
    private const byte StatusSelfTested = 0x04;
    private const byte StatusCommandLast = 0x08;
    private const byte StatusUnlocked = 0x10;
    private const byte StatusAuxData = 0x20;
    private const byte ConfigKeyboardInterrupt = 0x01;
    private const byte ConfigAuxInterrupt = 0x02;
    private const byte ConfigSystem = 0x04;
    private const byte ConfigKeyboardOff = 0x10;
    private const byte ConfigAuxOff = 0x20;
    private const byte ConfigTranslate = 0x40;
    private const byte ConfigReset = ConfigKeyboardInterrupt | ConfigAuxInterrupt;
    private const byte OutputNoReset = 0x01;
    private const byte OutputA20 = 0x02;
    private const byte SelfTestPassed = 0x55;
    private const byte InputPort = 0x80; // keyboard not locked
    private const byte NoCommand = 0x00;

    private readonly Ps2Keyboard _keyboard = new();
    private readonly Ps2Mouse _mouse = new();
    private readonly InterruptLine _keyboardIrq;
    private readonly InterruptLine _mouseIrq;
    private readonly A20Gate _a20;
    private readonly Action _onReset;

    private byte _config = ConfigReset;
    private byte _waitingCommand; // whose parameter is due at port 60
    private bool _wasCommand;     // the last write was to port 64
    private bool _isSelfTested;
    private byte _output;
    private bool _isOutputFull;
    private bool _isOutputAux;
    private byte _answer;         // of the controller, waits for the output buffer
    private bool _hasAnswer;
    private bool _isAnswerAux;

    /// <summary>Makes a controller in power-on state.</summary>
    /// <param name="context">Surroundings.</param>
    /// <param name="a20">Output port, bit 1.</param>
    /// <param name="onReset">Called, bus lock held, when the guest pulses the reset line.</param>
    public I8042(DeviceContext context, A20Gate a20, Action onReset)
    {
        _keyboardIrq = context.Line(1);
        _mouseIrq = context.Line(12);
        _a20 = a20;
        _onReset = onReset;
    }

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x3234_3038, Instance: 0, Version: 1); // "8042"

    /// <summary>The keyboard's LEDs: scroll, num and caps lock in bits 0 to 2.</summary>
    public byte KeyboardLeds => _keyboard.Leds;

    /// <summary>Claims ports 60 and 64.</summary>
    public void Attach(PortBus ports)
    {
        ports.Register("i8042 data", 0x60, 1, new PortHandler(ReadData, WriteData), accessBytesMax: 1);
        ports.Register("i8042 command", 0x64, 1, new PortHandler(ReadStatus, WriteCommand), accessBytesMax: 1);
    }

    /// <summary>Power-on state.</summary>
    public void Reset()
    {
        _keyboard.Reset();
        _mouse.Reset();
        _config = ConfigReset;
        _waitingCommand = NoCommand;
        _wasCommand = false;
        _isSelfTested = false;
        _output = 0;
        _isOutputFull = false;
        _isOutputAux = false;
        _answer = 0;
        _hasAnswer = false;
        _isAnswerAux = false;
        Update();
    }

    /// <summary>A key of the host went down or up.</summary>
    /// <param name="code">Scan code of set 1, 01-7F, with E000 added for the extended keys.</param>
    /// <param name="isDown">Pressed, or repeated.</param>
    /// <returns>False when the keyboard's buffer is full or the guest switched scanning off: the key is lost.</returns>
    public bool TrySendKey(int code, bool isDown)
    {
        bool sent = _keyboard.TrySend(code, isDown, (_config & ConfigTranslate) != 0);
        Update();
        return sent;
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        _keyboard.Transfer(ref state);
        _mouse.Transfer(ref state);
        state.U8(ref _config);
        state.U8(ref _waitingCommand);
        state.Bool(ref _wasCommand);
        state.Bool(ref _isSelfTested);
        state.U8(ref _output);
        state.Bool(ref _isOutputFull);
        state.Bool(ref _isOutputAux);
        state.U8(ref _answer);
        state.Bool(ref _hasAnswer);
        state.Bool(ref _isAnswerAux);
        if (!state.IsSaving)
        {
            DriveLines();
        }
    }

    private byte ReadStatus(int offset)
        => (byte)(StatusUnlocked
            | (_isOutputFull ? StatusOutputFull : 0)
            | (_isOutputFull && _isOutputAux ? StatusAuxData : 0)
            | (_isSelfTested ? StatusSelfTested : 0)
            | (_wasCommand ? StatusCommandLast : 0));

    private byte ReadData(int offset)
    {
        byte value = _output;
        _isOutputFull = false;
        DriveLines(); // down before the next byte, so that each makes an edge
        Update();
        return value;
    }

    private void WriteData(int offset, byte value)
    {
        byte command = _waitingCommand;
        _waitingCommand = NoCommand;
        _wasCommand = false;
        switch (command)
        {
            case 0x60:
                _config = value;
                _isSelfTested = (value & ConfigSystem) != 0;
                break;
            case 0xD1:
                WriteOutputPort(value);
                break;
            case 0xD2:
                Answer(value, isAux: false);
                break;
            case 0xD3:
                Answer(value, isAux: true);
                break;
            case 0xD4:
                _config &= unchecked((byte)~ConfigAuxOff);
                _mouse.Write(value);
                break;
            default:
                _config &= unchecked((byte)~ConfigKeyboardOff); // talking to it switches it on
                _keyboard.Write(value);
                break;
        }

        Update();
    }

    private void WriteCommand(int offset, byte value)
    {
        _waitingCommand = NoCommand;
        _wasCommand = true;
        switch (value)
        {
            case 0x20:
                Answer(_config);
                break;
            case 0x60 or 0xD1 or 0xD2 or 0xD3 or 0xD4:
                _waitingCommand = value;
                break;
            case 0xA7:
                _config |= ConfigAuxOff;
                break;
            case 0xA8:
                _config &= unchecked((byte)~ConfigAuxOff);
                break;
            case 0xA9 or 0xAB: // interface tests: passed
                Answer(0x00);
                break;
            case 0xAA:
                _isSelfTested = true;
                _config |= ConfigSystem;
                Answer(SelfTestPassed);
                break;
            case 0xAD:
                _config |= ConfigKeyboardOff;
                break;
            case 0xAE:
                _config &= unchecked((byte)~ConfigKeyboardOff);
                break;
            case 0xC0:
                Answer(InputPort);
                break;
            case 0xD0:
                Answer(ReadOutputPort());
                break;
            case 0xDD or 0xDF:
                _a20.Set(value == 0xDF);
                break;
            case >= 0xF0 when (value & OutputNoReset) == 0: // pulses the output port's low bits
                _onReset();
                break;
            default:
                break;
        }

        Update();
    }

    private byte ReadOutputPort()
        => (byte)(OutputNoReset
            | (_a20.IsOpen ? OutputA20 : 0)
            | (_isOutputFull ? (_isOutputAux ? 0x20 : 0x10) : 0));

    private void WriteOutputPort(byte value)
    {
        _a20.Set((value & OutputA20) != 0);
        if ((value & OutputNoReset) == 0)
        {
            _onReset();
        }
    }

    private void Answer(byte value, bool isAux = false)
    {
        _answer = value;
        _isAnswerAux = isAux;
        _hasAnswer = true;
    }

    // Fills the output buffer when it is empty, and drives the lines.
    private void Update()
    {
        if (!_isOutputFull)
        {
            if (_hasAnswer)
            {
                _hasAnswer = false;
                Put(_answer, _isAnswerAux);
            }
            else if (_keyboard.HasByte && (_config & ConfigKeyboardOff) == 0)
            {
                Put(_keyboard.Take((_config & ConfigTranslate) != 0), isAux: false);
            }
            else if (_mouse.HasByte && (_config & ConfigAuxOff) == 0)
            {
                Put(_mouse.Take(), isAux: true);
            }
        }

        DriveLines();
    }

    private void Put(byte value, bool isAux)
    {
        _output = value;
        _isOutputAux = isAux;
        _isOutputFull = true;
    }

    private void DriveLines()
    {
        _keyboardIrq.Set(_isOutputFull && !_isOutputAux && (_config & ConfigKeyboardInterrupt) != 0);
        _mouseIrq.Set(_isOutputFull && _isOutputAux && (_config & ConfigAuxInterrupt) != 0);
    }
}
