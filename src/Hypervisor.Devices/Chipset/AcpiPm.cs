using System;
using Hypervisor.Core;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Devices.Chipset;

/// <summary>The ACPI power-management registers, ports 600-60F, and the SMI command port B2.</summary>
/// <remarks>
/// Spec: ACPI 6.5, 4.8.3 and 4.8.4. Layout, little-endian:
/// <code>
/// 600 PM1a status u16   602 PM1a enable u16   604 PM1a control u16   606 unused
/// 608 PM timer u32      60C GPE0 status u16   60E GPE0 enable u16
/// </code>
/// </remarks>
public sealed class AcpiPm : IPortDevice, ICheckpointed
{
    /// <summary>First port of the block.</summary>
    public const ushort FirstPort = 0x600;

    /// <summary>Port of PM1a control, 2 bytes.</summary>
    public const ushort ControlPort = 0x604;

    /// <summary>Port of the PM timer, 4 bytes.</summary>
    public const ushort TimerPort = 0x608;

    /// <summary>Port of the GPE0 block: 2 bytes of status, 2 of enables.</summary>
    public const ushort GpePort = 0x60C;

    /// <summary>The SMI command port, for the FADT.</summary>
    public const ushort SmiCommandPort = 0xB2;

    /// <summary>Value at the SMI command port that switches to ACPI mode, for the FADT.</summary>
    public const byte EnableCommand = 0xF1;

    /// <summary>Value at the SMI command port that leaves ACPI mode, for the FADT.</summary>
    public const byte DisableCommand = 0xF0;

    /// <summary>SLP_TYP that turns the machine off, for the _S5 package. QEMU's PIIX4 has 0, too.</summary>
    public const int SoftOffSleepType = 0;

    /// <summary>Rate of the PM timer.</summary>
    public const long TimerHertz = 3_579_545;

    private const ushort TimerBit = 1 << 0;        // status, enable
    private const ushort GlobalBit = 1 << 5;       // status, enable
    private const ushort PowerButtonBit = 1 << 8;  // status, enable
    private const ushort WakeBit = 1 << 15;        // status
    private const ushort StatusBits = TimerBit | (1 << 4) | GlobalBit | PowerButtonBit | (1 << 9) | (1 << 10) | WakeBit;
    private const ushort EnableBits = TimerBit | GlobalBit | PowerButtonBit | (1 << 9) | (1 << 10);
    private const ushort SciEnable = 1 << 0;       // control
    private const ushort SleepEnable = 1 << 13;    // control, reads as 0
    private const ushort ControlBits = SciEnable | (1 << 1) | (7 << 10);

    private readonly TickRate _rate = new(TimerHertz);
    private readonly GuestClock _clock;
    private readonly GuestTimer _timer;
    private readonly InterruptLine _sci;
    private readonly Action _onPowerOff;
    private readonly int _timerBits;

    private ushort _status;
    private ushort _enable;
    private ushort _control = SciEnable; // no firmware of ours lives in SMM: ACPI mode from the start
    private ushort _gpeStatus;
    private ushort _gpeEnable;
    private long _seenTicks; // up to which the timer's status bit is right
    private byte _smiCommand;
    private byte _smiData;

    /// <summary>Makes the registers in power-on state.</summary>
    /// <param name="context">Surroundings.</param>
    /// <param name="sci">IRQ 9.</param>
    /// <param name="onPowerOff">Called, bus lock held, when the guest turns the machine off.</param>
    /// <param name="timerBits">Width of the PM timer, 24 or 32; 32 goes with the FADT's TMR_VAL_EXT flag.</param>
    public AcpiPm(DeviceContext context, InterruptLine sci, Action onPowerOff, int timerBits = 24)
    {
        Check.That(timerBits is 24 or 32);
        _clock = context.Timers.Clock;
        _timer = context.Timers.Create(Update);
        _sci = sci;
        _onPowerOff = onPowerOff;
        _timerBits = timerBits;
    }

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x4950_4341, Instance: 0, Version: 1); // "ACPI"

    private long Ticks => _rate.TicksAt(_clock.NowNanos);

    /// <summary>Claims its ports.</summary>
    public void Attach(PortBus ports)
    {
        ports.Register("ACPI PM", FirstPort, 16, this);
        ports.Register("SMI command", SmiCommandPort, 2, new PortHandler(ReadSmi, WriteSmi), accessBytesMax: 1);
    }

    /// <summary>Power-on state.</summary>
    public void Reset()
    {
        _status = 0;
        _enable = 0;
        _control = SciEnable;
        _gpeStatus = 0;
        _gpeEnable = 0;
        _seenTicks = Ticks;
        _smiCommand = 0;
        _smiData = 0;
        Update();
    }

    /// <summary>Presses the power button: the guest's system asks itself to shut down, if it listens.</summary>
    public void PressPowerButton()
    {
        _status |= PowerButtonBit;
        Update();
    }

    /// <summary>Raises general-purpose event 0 to 15.</summary>
    public void RaiseGpe(int number)
    {
        Check.That(number is >= 0 and < 16);
        _gpeStatus |= (ushort)(1 << number);
        Update();
    }

    /// <inheritdoc/>
    public uint ReadPort(int offset, int sizeBytes)
    {
        CatchUp();
        ulong low = _status | ((ulong)_enable << 16) | ((ulong)_control << 32);
        ulong high = ReadTimer() | ((ulong)_gpeStatus << 32) | ((ulong)_gpeEnable << 48);
        ulong value = offset < 8 ? low >> (offset * 8) : high >> ((offset - 8) * 8);
        if (offset < 8 && offset + sizeBytes > 8)
        {
            value |= high << ((8 - offset) * 8);
        }

        return (uint)value & (uint.MaxValue >> (32 - (sizeBytes * 8)));
    }

    /// <inheritdoc/>
    public void WritePort(int offset, int sizeBytes, uint value)
    {
        CatchUp();
        for (int i = 0; i < sizeBytes; i++)
        {
            WriteByte(offset + i, (byte)(value >> (i * 8)));
        }

        Update();
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        state.U16(ref _status);
        state.U16(ref _enable);
        state.U16(ref _control);
        state.U16(ref _gpeStatus);
        state.U16(ref _gpeEnable);
        state.I64(ref _seenTicks);
        state.U8(ref _smiCommand);
        state.U8(ref _smiData);
        _timer.Transfer(ref state);
        if (!state.IsSaving)
        {
            DriveSci();
        }
    }

    private static ushort With(ushort register, byte value, bool isHigh)
        => (ushort)(isHigh ? (register & 0x00FF) | (value << 8) : (register & 0xFF00) | value);

    private uint ReadTimer() => (uint)((ulong)Ticks & (uint.MaxValue >> (32 - _timerBits)));

    private void WriteByte(int offset, byte value)
    {
        bool isHigh = (offset & 1) != 0;
        int shifted = isHigh ? value << 8 : value;
        switch (offset & ~1)
        {
            case 0x0: // writing ones clears
                _status &= (ushort)~shifted;
                break;
            case 0x2:
                _enable = (ushort)(With(_enable, value, isHigh) & EnableBits);
                break;
            case 0x4:
                WriteControl(With(_control, value, isHigh));
                break;
            case 0xC: // writing ones clears
                _gpeStatus &= (ushort)~shifted;
                break;
            case 0xE:
                _gpeEnable = With(_gpeEnable, value, isHigh);
                break;
            default: // the timer is read-only
                break;
        }
    }

    private void WriteControl(ushort value)
    {
        _control = (ushort)(value & ControlBits);
        if ((value & SleepEnable) == 0)
        {
            return;
        }

        if (((value >> 10) & 7) == SoftOffSleepType)
        {
            _onPowerOff();
        }
        else
        {
            _status |= WakeBit; // a sleep that is not offered ends at once
        }
    }

    private byte ReadSmi(int offset) => offset == 0 ? _smiCommand : _smiData;

    private void WriteSmi(int offset, byte value)
    {
        if (offset == 1)
        {
            _smiData = value;
            return;
        }

        _smiCommand = value;
        if (value is EnableCommand or DisableCommand)
        {
            _control = (ushort)(value == EnableCommand ? _control | SciEnable : _control & ~SciEnable);
            Update();
        }
    }

    // The status bit is set each time that the timer's top bit changes. Spec: ACPI 6.5, 4.8.3.3.
    private void CatchUp()
    {
        long ticks = Ticks;
        if (ticks >> (_timerBits - 1) != _seenTicks >> (_timerBits - 1))
        {
            _status |= TimerBit;
        }

        _seenTicks = ticks;
    }

    private void Update()
    {
        CatchUp();
        _status &= StatusBits;
        DriveSci();
        bool waits = (_enable & ~_status & TimerBit) != 0 && (_control & SciEnable) != 0;
        if (waits)
        {
            _timer.Arm(_rate.NanosAt(((_seenTicks >> (_timerBits - 1)) + 1) << (_timerBits - 1)));
        }
        else
        {
            _timer.Disarm();
        }
    }

    private void DriveSci()
    {
        bool isAsking = (_status & _enable & EnableBits) != 0 || (_gpeStatus & _gpeEnable) != 0;
        _sci.Set(isAsking && (_control & SciEnable) != 0);
    }
}
