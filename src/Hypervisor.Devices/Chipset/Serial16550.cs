using System;
using Hypervisor.Backends.Console;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Devices.Chipset;

/// <summary>A 16550A UART on eight I/O ports.</summary>
/// <remarks>
/// Spec: TI PC16550D data sheet, section 8 "Registers". The transmitter is infinitely fast: each character goes to the
/// stream at once, so it is always empty and its interrupt is due again as soon as it was served. Receiving is held
/// back by a full FIFO, so no character from outside is ever lost.
/// </remarks>
public sealed class Serial16550 : IPortDevice, ICheckpointed
{
    private const long ClockHertz = 1_843_200;
    private const long NanosPerSecond = 1_000_000_000;
    private const int TimeoutChars = 4; // Spec: 8.6, four character times without traffic

    private const byte LcrDivisorLatch = 0x80;
    private const byte LcrBreak = 0x40;
    private const byte IerReceive = 0x01;
    private const byte IerTransmit = 0x02;
    private const byte IerLineStatus = 0x04;
    private const byte IerModemStatus = 0x08;
    private const byte FcrEnable = 0x01;
    private const byte FcrClearReceive = 0x02;
    private const byte FcrKept = 0xC9; // enable, DMA mode, trigger level
    private const byte McrOut2 = 0x08;
    private const byte McrLoop = 0x10;
    private const byte McrWritable = 0x1F;
    private const byte TransmitterEmpty = 0x60;
    private const byte CarrierAndReady = 0xB0; // MSR: DCD, DSR, CTS of a peer that is always there
    private const byte RingOrDelta = 0x0F;

    private readonly UartReceiver _receiver = new();
    private readonly InterruptLine _irq;
    private readonly IByteStream _stream;
    private readonly Action? _onRoom;
    private readonly GuestClock _clock;
    private readonly GuestTimer _timeout;
    private readonly ushort _instance;

    private byte _interruptEnable;
    private byte _fifoControl;
    private byte _lineControl;
    private byte _modemControl;
    private byte _modemStatus = CarrierAndReady;
    private byte _scratch;
    private ushort _divisor = 12; // 9600 baud
    private bool _transmitInterrupt;
    private bool _hasTimedOut;

    /// <summary>Makes a UART in power-on state.</summary>
    /// <param name="context">Surroundings.</param>
    /// <param name="irq">Its interrupt: IRQ 4 for COM1.</param>
    /// <param name="stream">Where its characters go. Nothing is read from it: see <see cref="Receive"/>.</param>
    /// <param name="instance">0 for COM1.</param>
    /// <param name="onRoom">Called (bus lock held) when a full receiver can take characters again.</param>
    public Serial16550(
        DeviceContext context, InterruptLine irq, IByteStream stream, ushort instance = 0, Action? onRoom = null)
    {
        _irq = irq;
        _stream = stream;
        _onRoom = onRoom;
        _clock = context.Timers.Clock;
        _timeout = context.Timers.Create(OnTimeout);
        _instance = instance;
    }

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x5452_4155, _instance, Version: 1); // "UART"

    private bool IsLooped => (_modemControl & McrLoop) != 0;

    private bool IsDivisorOpen => (_lineControl & LcrDivisorLatch) != 0;

    private int TriggerChars => !_receiver.HasFifo ? 1 : (_fifoControl >> 6) switch
    {
        0 => 1,
        1 => 4,
        2 => 8,
        _ => 14,
    };

    /// <summary>Claims its eight ports.</summary>
    public void Attach(PortBus ports, ushort firstPort)
        => ports.Register($"COM{_instance + 1}", firstPort, 8, this, accessBytesMax: 1);

    /// <summary>Power-on state. The line stays connected.</summary>
    public void Reset()
    {
        _receiver.Reset();
        _interruptEnable = 0;
        _fifoControl = 0;
        _lineControl = 0;
        _modemControl = 0;
        _modemStatus = CarrierAndReady;
        _scratch = 0;
        _divisor = 12;
        _transmitInterrupt = false;
        _hasTimedOut = false;
        _timeout.Disarm();
        UpdateInterrupt();
        _onRoom?.Invoke();
    }

    /// <summary>
    /// Takes characters from outside, as many as there is room for. Offer the rest again when room appears.
    /// </summary>
    /// <returns>How many were taken, from the front.</returns>
    public int Receive(ReadOnlySpan<byte> bytes)
    {
        int count = IsLooped ? 0 : Math.Min(bytes.Length, _receiver.Room);
        for (int i = 0; i < count; i++)
        {
            _receiver.Add(bytes[i], isBreak: false);
        }

        if (count > 0)
        {
            OnReceived();
        }

        return count;
    }

    /// <summary>The line was broken outside (a terminal's Break key): one zero character with its break bit.</summary>
    /// <returns>False when there is no room for it.</returns>
    public bool TryReceiveBreak()
    {
        bool canTake = !IsLooped && _receiver.Room > 0;
        if (canTake)
        {
            _receiver.Add(0, isBreak: true);
            OnReceived();
        }

        return canTake;
    }

    /// <inheritdoc/>
    public uint ReadPort(int offset, int sizeBytes) => (UartRegister)offset switch
    {
        UartRegister.Data when IsDivisorOpen => (byte)_divisor,
        UartRegister.Data => ReadData(),
        UartRegister.InterruptEnable when IsDivisorOpen => (uint)_divisor >> 8,
        UartRegister.InterruptEnable => _interruptEnable,
        UartRegister.InterruptOrFifo => ReadInterruptIdentification(),
        UartRegister.LineControl => _lineControl,
        UartRegister.ModemControl => _modemControl,
        UartRegister.LineStatus => ReadLineStatus(),
        UartRegister.ModemStatus => ReadModemStatus(),
        UartRegister.Scratch => _scratch,
        _ => 0xFF,
    };

    /// <inheritdoc/>
    public void WritePort(int offset, int sizeBytes, uint value)
    {
        byte bits = (byte)value;
        switch ((UartRegister)offset)
        {
            case UartRegister.Data when IsDivisorOpen:
                _divisor = (ushort)((_divisor & 0xFF00) | bits);
                break;
            case UartRegister.Data:
                Transmit(bits);
                break;
            case UartRegister.InterruptEnable when IsDivisorOpen:
                _divisor = (ushort)((bits << 8) | (_divisor & 0xFF));
                break;
            case UartRegister.InterruptEnable:
                WriteInterruptEnable(bits);
                break;
            case UartRegister.InterruptOrFifo:
                WriteFifoControl(bits);
                break;
            case UartRegister.LineControl:
                WriteLineControl(bits);
                break;
            case UartRegister.ModemControl:
                WriteModemControl(bits);
                break;
            case UartRegister.Scratch:
                _scratch = bits;
                break;
            default: // the status registers are read-only
                break;
        }
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        _receiver.Transfer(ref state);
        state.U8(ref _interruptEnable);
        state.U8(ref _fifoControl);
        state.U8(ref _lineControl);
        state.U8(ref _modemControl);
        state.U8(ref _modemStatus);
        state.U8(ref _scratch);
        state.U16(ref _divisor);
        state.Bool(ref _transmitInterrupt);
        state.Bool(ref _hasTimedOut);
        _timeout.Transfer(ref state);
        if (!state.IsSaving)
        {
            UpdateInterrupt(); // derived: recomputed, never saved
        }
    }

    private byte ReadData()
    {
        bool wasFull = _receiver.Room == 0;
        byte value = _receiver.Take();
        _hasTimedOut = false;
        ArmTimeout();
        UpdateInterrupt();
        if (wasFull && !IsLooped)
        {
            _onRoom?.Invoke();
        }

        return value;
    }

    private byte ReadInterruptIdentification()
    {
        UartCause cause = FindCause();
        if (cause == UartCause.TransmitterEmpty)
        {
            _transmitInterrupt = false; // Spec: table 4, reading IIR serves this one
            UpdateInterrupt();
        }

        return (byte)((byte)cause | (_receiver.HasFifo ? 0xC0 : 0));
    }

    private byte ReadLineStatus()
    {
        byte status = (byte)(_receiver.Status | TransmitterEmpty);
        _receiver.ForgetErrors();
        UpdateInterrupt();
        return status;
    }

    private byte ReadModemStatus()
    {
        byte status = _modemStatus;
        _modemStatus &= unchecked((byte)~RingOrDelta);
        UpdateInterrupt();
        return status;
    }

    private void Transmit(byte value)
    {
        _transmitInterrupt = false;
        UpdateInterrupt(); // down and up again: the edge says that this one has left, too
        if (IsLooped)
        {
            _receiver.Add(value, isBreak: false);
            OnReceived();
        }
        else
        {
            _stream.Write([value]);
        }

        _transmitInterrupt = true;
        UpdateInterrupt();
    }

    private void WriteInterruptEnable(byte value)
    {
        byte risen = (byte)(value & ~_interruptEnable);
        _interruptEnable = (byte)(value & 0x0F);
        if ((risen & IerTransmit) != 0)
        {
            _transmitInterrupt = true; // enabling it with an empty transmitter asks at once
        }

        UpdateInterrupt();
    }

    private void WriteFifoControl(byte value)
    {
        bool enable = (value & FcrEnable) != 0;
        if (enable != _receiver.HasFifo || (enable && (value & FcrClearReceive) != 0))
        {
            _receiver.UseFifo(enable);
            _receiver.Clear();
            _hasTimedOut = false;
            _timeout.Disarm();
            if (!IsLooped)
            {
                _onRoom?.Invoke();
            }
        }

        _fifoControl = enable ? (byte)(value & FcrKept) : (byte)0;
        UpdateInterrupt();
    }

    private void WriteLineControl(byte value)
    {
        bool breaks = (value & ~_lineControl & LcrBreak) != 0;
        _lineControl = value;
        if (breaks && IsLooped)
        {
            _receiver.Add(0, isBreak: true);
            OnReceived();
        }
    }

    private void WriteModemControl(byte value)
    {
        bool wasLooped = IsLooped;
        _modemControl = (byte)(value & McrWritable);

        // Looped: CTS = RTS, DSR = DTR, RI = OUT1, DCD = OUT2. Spec: 8.7.
        int inputs = !IsLooped
            ? CarrierAndReady
            : ((value & 0x02) << 3) | ((value & 0x01) << 5) | ((value & 0x04) << 4) | ((value & 0x08) << 4);
        int changed = (inputs ^ _modemStatus) & 0xF0;
        int deltas = ((changed >> 4) & 0x0B) | ((changed & _modemStatus & 0x40) >> 4); // RI counts when it ends
        _modemStatus = (byte)(inputs | (_modemStatus & RingOrDelta) | deltas);
        UpdateInterrupt();
        if (wasLooped && !IsLooped)
        {
            _onRoom?.Invoke();
        }
    }

    private void OnReceived()
    {
        ArmTimeout();
        UpdateInterrupt();
    }

    private void OnTimeout()
    {
        _hasTimedOut = _receiver.Count > 0;
        UpdateInterrupt();
    }

    // Characters below the trigger level are announced when neither side moved one for a while.
    private void ArmTimeout()
    {
        if (!_receiver.HasFifo || _receiver.Count == 0)
        {
            _timeout.Disarm();
            return;
        }

        // Start bit, 5 to 8 data bits, parity, 1 or 2 stop bits.
        int bits = 1 + 5 + (_lineControl & 3) + ((_lineControl >> 3) & 1) + 1 + ((_lineControl >> 2) & 1);
        long divisor = Math.Max((ushort)1, _divisor);
        _timeout.Arm(_clock.NowNanos + (TimeoutChars * bits * 16 * divisor * NanosPerSecond / ClockHertz));
    }

    private UartCause FindCause()
    {
        if ((_interruptEnable & IerLineStatus) != 0 && _receiver.HasErrors)
        {
            return UartCause.LineStatus;
        }

        if ((_interruptEnable & IerReceive) != 0 && _receiver.Count >= TriggerChars)
        {
            return UartCause.DataAvailable;
        }

        if ((_interruptEnable & IerReceive) != 0 && _hasTimedOut)
        {
            return UartCause.CharacterTimeout;
        }

        if ((_interruptEnable & IerTransmit) != 0 && _transmitInterrupt)
        {
            return UartCause.TransmitterEmpty;
        }

        bool isModem = (_interruptEnable & IerModemStatus) != 0 && (_modemStatus & RingOrDelta) != 0;
        return isModem ? UartCause.ModemStatus : UartCause.None;
    }

    // On a PC, OUT2 connects the interrupt to the bus; here in loop-back as well, as drivers' tests expect.
    private void UpdateInterrupt() => _irq.Set((_modemControl & McrOut2) != 0 && FindCause() != UartCause.None);
}
