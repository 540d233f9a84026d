using System;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Devices.Chipset;

/// <summary>The MC146818 real-time clock with 128 bytes of CMOS, ports 70 and 71.</summary>
/// <remarks>
/// Spec: Motorola MC146818A data sheet, "Registers". The time of day is guest time plus an offset that starts with the
/// constructor's start time and moves when the guest sets the clock. While the clock is stopped the registers hold it.
/// Flags are found when they are looked at; a timer runs only while the guest waits for an interrupt.
/// </remarks>
public sealed class Rtc146818 : ICheckpointed
{
    /// <summary>Bytes of CMOS.</summary>
    public const int CmosBytes = 128;

    private const long NanosPerSecond = 1_000_000_000;
    private const long UpdateNanos = 244_000; // UIP rises this long before the second turns. Spec: "Update Cycle"
    private const long OscillatorHertz = 32_768;

    private const int RegisterA = 0x0A;
    private const int RegisterB = 0x0B;
    private const int RegisterC = 0x0C;
    private const int RegisterD = 0x0D;
    private const byte UpdateInProgress = 0x80; // A
    private const byte DividerMask = 0x70;      // A
    private const byte DividerRunsMax = 0x20;   // A: above it the divider chain is held in reset
    private const byte SetBit = 0x80;           // B: the guest sets the time
    private const byte SquareWaveBit = 0x08;    // B
    private const byte PeriodicBit = 0x40;      // B and C
    private const byte AlarmBit = 0x20;         // B and C
    private const byte UpdateBit = 0x10;        // B and C
    private const byte InterruptBits = PeriodicBit | AlarmBit | UpdateBit;
    private const byte AnyInterrupt = 0x80;     // C
    private const byte ValidRamAndTime = 0x80;  // D

    private readonly byte[] _cmos = new byte[CmosBytes];
    private readonly TickRate _oscillator = new(OscillatorHertz);
    private readonly GuestClock _clock;
    private readonly GuestTimer _timer;
    private readonly InterruptLine _irq;

    private byte _index;         // with the NMI mask in bit 7
    private long _offsetSeconds; // time of day = (guest time + phase) in whole seconds + this
    private long _phaseNanos;    // 0 to one second
    private long _seenNanos;     // guest time up to which register C holds the flags

    /// <summary>Makes a clock that shows <paramref name="startSeconds"/> at guest time 0.</summary>
    /// <param name="context">Surroundings.</param>
    /// <param name="irq">IRQ 8, or the HPET's input for it.</param>
    /// <param name="startSeconds">Seconds since 1970, UTC; given, so that runs can be repeated.</param>
    public Rtc146818(DeviceContext context, InterruptLine irq, long startSeconds)
    {
        _clock = context.Timers.Clock;
        _timer = context.Timers.Create(Update);
        _irq = irq;
        _offsetSeconds = startSeconds;
        _cmos[RegisterA] = 0x26; // 32.768 kHz, 1024 Hz
        _cmos[RegisterB] = 0x02; // 24 hours, BCD
    }

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x5F43_5452, Instance: 0, Version: 1); // "RTC_"

    /// <summary>Whether the guest masked the NMI by port 70, bit 7.</summary>
    public bool IsNmiMasked => (_index & 0x80) != 0;

    private bool IsRunning => (_cmos[RegisterB] & SetBit) == 0 && IsDividerRunning;

    private bool IsDividerRunning => (_cmos[RegisterA] & DividerMask) <= DividerRunsMax;

    // Of the periodic interrupt, in ticks of the oscillator; 0: none. Rates 1 and 2 are those of 8 and 9.
    private long PeriodTicks
    {
        get
        {
            int rate = _cmos[RegisterA] & 0x0F;
            return rate == 0 || !IsDividerRunning ? 0 : 1L << ((rate <= 2 ? rate + 7 : rate) - 1);
        }
    }

    /// <summary>Claims ports 70 and 71.</summary>
    public void Attach(PortBus ports)
        => ports.Register("RTC", 0x70, 2, new PortHandler(Read, Write), accessBytesMax: 1);

    /// <summary>Sets a byte of CMOS at build time, beyond the clock's own registers.</summary>
    public void SetCmos(int index, byte value) => _cmos[index] = value;

    /// <summary>Sets two bytes of CMOS at build time, low byte first.</summary>
    public void SetCmosWord(int index, ushort value)
    {
        _cmos[index] = (byte)value;
        _cmos[index + 1] = (byte)(value >> 8);
    }

    /// <summary>Fills in the memory sizes where a PC's firmware looks for them.</summary>
    /// <param name="lowBytes">RAM below 4 GiB.</param>
    /// <param name="highBytes">RAM from 4 GiB on.</param>
    public void SetMemorySize(long lowBytes, long highBytes)
    {
        const long Mebibyte = 1 << 20;
        ushort extendedKib = (ushort)Math.Clamp((lowBytes - Mebibyte) / 1024, 0, 0xFFFF);
        ushort above16MiB = (ushort)Math.Clamp((lowBytes - (16 * Mebibyte)) / 0x1_0000, 0, 0xFFFF);
        long above4GiB = Math.Clamp(highBytes / 0x1_0000, 0, 0xFF_FFFF);
        SetCmosWord(0x15, 640); // KiB of base memory
        SetCmosWord(0x17, extendedKib);
        SetCmosWord(0x30, extendedKib);
        SetCmosWord(0x34, above16MiB); // in units of 64 KiB, as the next one
        SetCmosWord(0x5B, (ushort)above4GiB);
        _cmos[0x5D] = (byte)(above4GiB >> 16);
    }

    /// <summary>Machine reset: interrupts off. Time and CMOS live on a battery.</summary>
    public void Reset()
    {
        _index = 0;
        _cmos[RegisterB] &= unchecked((byte)~(InterruptBits | SquareWaveBit));
        _cmos[RegisterC] = 0;
        Update();
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        state.Bytes(_cmos);
        state.U8(ref _index);
        state.I64(ref _offsetSeconds);
        state.I64(ref _phaseNanos);
        state.I64(ref _seenNanos);
        _timer.Transfer(ref state);
        if (_phaseNanos is < 0 or >= NanosPerSecond)
        {
            throw new StateFormatException($"RTC phase of {_phaseNanos} ns, allowed is less than a second");
        }

        if (!state.IsSaving)
        {
            DriveLine();
        }
    }

    private byte Read(int offset)
    {
        if (offset == 0)
        {
            return 0xFF; // the index is write only
        }

        int index = _index & 0x7F;
        if (RtcCalendar.IsTime(index))
        {
            FillRegisters();
        }

        return index switch
        {
            RegisterA => (byte)(_cmos[RegisterA] | (IsUpdating() ? UpdateInProgress : 0)),
            RegisterC => ReadFlags(),
            RegisterD => ValidRamAndTime,
            _ => _cmos[index],
        };
    }

    private void Write(int offset, byte value)
    {
        int index = _index & 0x7F;
        if (offset == 0)
        {
            _index = value;
        }
        else if (RtcCalendar.IsTime(index))
        {
            FillRegisters();
            _cmos[index] = value;
            if (IsRunning)
            {
                TakeRegisters(restartsSecond: false);
            }
        }
        else if (index is RegisterA or RegisterB)
        {
            WriteControl(index, value);
        }
        else if (index is not (RegisterC or RegisterD)) // those are read only
        {
            CatchUp(); // the index may be an alarm's
            _cmos[index] = value;
            Update();
        }
    }

    private void WriteControl(int index, byte value)
    {
        CatchUp();
        FillRegisters();
        bool wasRunning = IsRunning;
        bool wasDividerRunning = IsDividerRunning;
        _cmos[index] = index == RegisterA
            ? (byte)(value & ~UpdateInProgress)
            : (byte)((value & SetBit) != 0 ? value & ~UpdateBit : value); // SET clears UIE

        if (!wasRunning && IsRunning)
        {
            // Out of divider reset the first update comes after half a second. Spec: "Divider control".
            TakeRegisters(restartsSecond: !wasDividerRunning);
        }

        Update();
    }

    private byte ReadFlags()
    {
        CatchUp();
        byte flags = _cmos[RegisterC];
        _cmos[RegisterC] = 0;
        Update();
        return flags;
    }

    private bool IsUpdating()
        => IsRunning && (_clock.NowNanos + _phaseNanos) % NanosPerSecond >= NanosPerSecond - UpdateNanos;

    private long SecondsAt(long nanos) => ((nanos + _phaseNanos) / NanosPerSecond) + _offsetSeconds;

    // The registers follow the clock while it runs, and are the clock while it does not.
    private void FillRegisters()
    {
        if (IsRunning)
        {
            RtcCalendar.Fill(_cmos, SecondsAt(_clock.NowNanos), _cmos[RegisterB]);
        }
    }

    private void TakeRegisters(bool restartsSecond)
    {
        long now = _clock.NowNanos;
        if (restartsSecond)
        {
            long half = NanosPerSecond / 2;
            _phaseNanos = (half - (now % NanosPerSecond) + NanosPerSecond) % NanosPerSecond;
        }

        _offsetSeconds += RtcCalendar.Parse(_cmos, _cmos[RegisterB]) - SecondsAt(now);
        _seenNanos = now;
    }

    // Sets the flags of everything that happened since the last look.
    private void CatchUp()
    {
        long now = _clock.NowNanos;
        byte flags = 0;
        long period = PeriodTicks;
        if (period != 0 && _oscillator.TicksAt(now) / period != _oscillator.TicksAt(_seenNanos) / period)
        {
            flags |= PeriodicBit;
        }

        long seen = SecondsAt(_seenNanos);
        if (IsRunning && SecondsAt(now) != seen)
        {
            flags |= UpdateBit;
            if (RtcCalendar.NextAlarm(_cmos, seen, _cmos[RegisterB]) <= SecondsAt(now))
            {
                flags |= AlarmBit;
            }
        }

        _seenNanos = now;
        _cmos[RegisterC] |= flags;
        bool isAsking = (_cmos[RegisterC] & _cmos[RegisterB] & InterruptBits) != 0;
        _cmos[RegisterC] = (byte)((_cmos[RegisterC] & InterruptBits) | (isAsking ? AnyInterrupt : 0));
    }

    private void Update()
    {
        CatchUp();
        DriveLine();
        ArmTimer();
    }

    private void DriveLine() => _irq.Set((_cmos[RegisterC] & AnyInterrupt) != 0);

    // Only what is enabled and not asked for yet needs a timer.
    private void ArmTimer()
    {
        int wanted = _cmos[RegisterB] & ~_cmos[RegisterC] & InterruptBits;
        long now = _clock.NowNanos;
        long deadline = long.MaxValue;
        long period = PeriodTicks;
        if ((wanted & PeriodicBit) != 0 && period != 0)
        {
            deadline = _oscillator.NanosAt(((_oscillator.TicksAt(now) / period) + 1) * period);
        }

        long second = SecondsAt(now);
        if ((wanted & UpdateBit) != 0 && IsRunning)
        {
            deadline = Math.Min(deadline, NanosAtSecond(second + 1));
        }

        if ((wanted & AlarmBit) != 0 && IsRunning)
        {
            long alarm = RtcCalendar.NextAlarm(_cmos, second, _cmos[RegisterB]);
            deadline = alarm == long.MaxValue ? deadline : Math.Min(deadline, NanosAtSecond(alarm));
        }

        if (deadline == long.MaxValue)
        {
            _timer.Disarm();
        }
        else
        {
            _timer.Arm(deadline);
        }
    }

    private long NanosAtSecond(long second) => ((second - _offsetSeconds) * NanosPerSecond) - _phaseNanos;
}
