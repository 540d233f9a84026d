using System;
using Hypervisor.Core;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Devices.Chipset;

/// <summary>The high precision event timer: a 64-bit counter at 100 MHz and three comparators, at 0xFED00000.</summary>
/// <remarks>
/// Spec: IA-PC HPET 1.0a, section 2.3. As QEMU's PIIX machine has it: every comparator can be periodic, interrupts are
/// routed to GSI 2 or by legacy replacement, FSB delivery is not offered.
/// </remarks>
public sealed class Hpet : IMmioDevice, ICheckpointed
{
    /// <summary>Where its registers are.</summary>
    public const ulong Address = 0xFED0_0000;

    /// <summary>Number of comparators.</summary>
    public const int ComparatorCount = 3;

    /// <summary>Length of a tick in femtoseconds: 10 ns.</summary>
    public const uint PeriodFemtos = 10_000_000;

    /// <summary>The counter's rate.</summary>
    public const long Hertz = 100_000_000;

    private const ulong AddressBytes = 0x400;
    private const int PitIrq = 0;
    private const int RtcIrq = 8;
    private const byte PitInput = 1;
    private const byte RtcInput = 2;

    // Period | vendor 8086 | legacy replacement capable | 64-bit | comparators - 1 | revision 1. Spec: 2.3.4.
    private const ulong Capabilities
        = ((ulong)PeriodFemtos << 32) | 0x8086_0000 | 0x8000 | 0x2000 | ((ComparatorCount - 1) << 8) | 0x01;

    private const ulong Enable = 1;
    private const ulong LegacyReplacement = 2;

    private readonly TickRate _rate = new(Hertz);
    private readonly GuestTimer[] _timers = new GuestTimer[ComparatorCount];
    private readonly HpetComparator[] _comparators = new HpetComparator[ComparatorCount];
    private readonly DeviceContext _context;
    private readonly GuestClock _clock;
    private readonly Func<bool> _isTimerWaiting;

    private ulong _configuration;
    private ulong _status;   // bit n: comparator n's level interrupt is active
    private ulong _counter;  // while halted the counter; while running what to add to guest ticks
    private byte _legacyInputs; // levels of PitInput and RtcInput

    /// <summary>Makes a halted timer.</summary>
    /// <param name="context">Surroundings.</param>
    /// <param name="isTimerWaiting">Whether an edge of IRQ 0 or GSI 2 still waits for a vCPU to take it.</param>
    public Hpet(DeviceContext context, Func<bool> isTimerWaiting)
    {
        _isTimerWaiting = isTimerWaiting;
        _context = context;
        _clock = context.Timers.Clock;
        for (int i = 0; i < ComparatorCount; i++)
        {
            int index = i;
            GuestTimer timer = context.Timers.Create(() => OnExpired(index, _clock.NowNanos));
            _timers[i] = timer;
            _comparators[i] = new HpetComparator(timer, new TickDebt(isTimerWaiting, () => Pulse(index)));
        }
    }

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x5445_5048, Instance: 0, Version: 2); // "HPET"

    /// <summary>Where the PIT's output goes: to IRQ 0, unless legacy replacement takes that over.</summary>
    public InterruptLine PitLine => new(PitIrq, DriveLegacy);

    /// <summary>Whether an edge of <see cref="PitLine"/> still waits for a vCPU to take it.</summary>
    public bool IsPitEdgeWaiting => !IsLegacy && _isTimerWaiting();

    /// <summary>Where the RTC's interrupt goes: to IRQ 8, unless legacy replacement takes that over.</summary>
    public InterruptLine RtcLine => new(RtcIrq, DriveLegacy);

    private bool IsEnabled => (_configuration & Enable) != 0;

    private bool IsLegacy => (_configuration & (Enable | LegacyReplacement)) == (Enable | LegacyReplacement);

    private ulong CounterAt(long nanos) => IsEnabled ? _counter + TicksAt(nanos) : _counter;

    private ulong TicksAt(long nanos) => (ulong)_rate.TicksAt(nanos);

    /// <summary>A vCPU took an edge of IRQ 0 or GSI 2.</summary>
    public void OnTimerTaken()
    {
        foreach (HpetComparator comparator in _comparators)
        {
            comparator.Debt.OnTaken();
        }
    }

    /// <summary>Claims its registers.</summary>
    public void Attach(MmioBus mmio) => mmio.Register("HPET", Address, AddressBytes, this, accessBytesMax: 8);

    /// <summary>Power-on state: halted at 0. The PIT and the RTC get their lines back.</summary>
    public void Reset()
    {
        _configuration = 0;
        _status = 0;
        _counter = 0;
        DriveLines(); // while the comparators still say which ones are theirs
        foreach (HpetComparator comparator in _comparators)
        {
            comparator.Reset();
        }
    }

    /// <inheritdoc/>
    public ulong ReadMmio(ulong offset, int sizeBytes)
    {
        ulong value = ReadRegister(offset & ~7ul, RunDue());
        int shift = (int)(offset & 7) * 8;
        return (value >> shift) & (ulong.MaxValue >> (64 - (sizeBytes * 8)));
    }

    /// <inheritdoc/>
    public void WriteMmio(ulong offset, int sizeBytes, ulong value)
    {
        // Spec: 2.3.2, registers take 32- and 64-bit accesses.
        if (sizeBytes < 4 || offset % (ulong)sizeBytes != 0)
        {
            return;
        }

        int shift = (int)(offset & 4) * 8;
        ulong mask = (ulong.MaxValue >> (64 - (sizeBytes * 8))) << shift;
        WriteRegister(offset & ~7ul, value << shift, mask, RunDue());
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        state.U64(ref _configuration);
        state.U64(ref _status);
        state.U64(ref _counter);
        state.U8(ref _legacyInputs);
        foreach (HpetComparator comparator in _comparators)
        {
            comparator.Transfer(ref state);
        }

        if (!state.IsSaving)
        {
            DriveLines();
        }
    }

    private ulong ReadRegister(ulong register, long nanos)
    {
        int index = (int)(register >> 5) - 8;
        if (index is >= 0 and < ComparatorCount)
        {
            return _comparators[index].Read((int)register & 0x18);
        }

        return (Register)register switch
        {
            Register.Capabilities => Capabilities,
            Register.Configuration => _configuration,
            Register.Status => _status,
            Register.Counter => CounterAt(nanos),
            _ => 0,
        };
    }

    private void WriteRegister(ulong register, ulong value, ulong mask, long nanos)
    {
        int index = (int)(register >> 5) - 8;
        if (index is >= 0 and < ComparatorCount)
        {
            WriteComparator(index, (int)register & 0x18, value, mask, nanos);
            return;
        }

        switch ((Register)register)
        {
            case Register.Configuration:
                WriteConfiguration(((_configuration & ~mask) | (value & mask)) & (Enable | LegacyReplacement), nanos);
                break;
            case Register.Status: // writing ones clears
                _status &= ~(value & mask);
                DriveLines();
                break;
            case Register.Counter when !IsEnabled: // Spec: 2.3.7, only while halted
                _counter = (_counter & ~mask) | (value & mask);
                break;
            default:
                break;
        }
    }

    private void WriteComparator(int index, int register, ulong value, ulong mask, long nanos)
    {
        HpetComparator comparator = _comparators[index];
        bool wasLevel = comparator.IsLevel;
        comparator.Write(register, value, mask);
        if (wasLevel && !comparator.IsLevel)
        {
            _status &= ~(1ul << index);
            _context.DriveLine(LineOf(index), false);
        }

        DriveLines();
        Arm(index, nanos);
    }

    private void WriteConfiguration(ulong value, long nanos)
    {
        bool wasEnabled = IsEnabled;
        ulong now = TicksAt(nanos);
        bool wasLegacy = IsLegacy;
        _configuration = value;
        if (wasLegacy != IsLegacy || wasEnabled != IsEnabled)
        {
            Array.ForEach(_comparators, comparator => comparator.Debt.Forget());
        }

        if (wasEnabled != IsEnabled)
        {
            _counter = IsEnabled ? _counter - now : _counter + now;
        }

        DriveLines();
        for (int i = 0; i < ComparatorCount; i++)
        {
            Arm(i, nanos);
        }
    }

    // What is due comes before the guest's next look, however late the event loop is. Everything that follows from an
    // access, or from a match, is reckoned from one reading of the clock: a comparator that the counter passed between
    // two would have to wait for the counter to wrap.
    private long RunDue()
    {
        long nanos = _clock.NowNanos;
        for (int i = 0; i < ComparatorCount; i++)
        {
            if (_timers[i].DeadlineNanos <= nanos)
            {
                OnExpired(i, nanos);
            }
        }

        return nanos;
    }

    private void OnExpired(int index, long nanos)
    {
        HpetComparator comparator = _comparators[index];
        ulong matches = comparator.Advance(CounterAt(nanos));
        if (comparator.IsLevel)
        {
            _status |= 1ul << index; // Spec: 2.3.6, set even when the interrupt is disabled
            DriveLines();
        }
        else if (comparator.IsInterruptEnabled && LineOf(index) == RtcIrq)
        {
            Pulse(index); // nobody says when this one was taken
        }
        else if (comparator.IsInterruptEnabled)
        {
            comparator.Debt.Tick((long)Math.Min(matches, long.MaxValue));
        }

        Arm(index, nanos);
    }

    private void Pulse(int index)
    {
        int line = LineOf(index);
        _context.DriveLine(line, false);
        _context.DriveLine(line, true);
        _context.DriveLine(line, false);
    }

    private void Arm(int index, long nanos)
    {
        if (IsEnabled)
        {
            ulong now = TicksAt(nanos);
            _comparators[index].Arm(_counter + now, (long)now, _rate, nanos);
        }
        else
        {
            _comparators[index].Disarm();
        }
    }

    private int LineOf(int index) => IsLegacy && index < 2 ? index * RtcIrq : HpetComparator.Route;

    // Derives the levels: of IRQ 0 and IRQ 8 from whoever they belong to, of GSI 2 when a comparator uses it.
    private void DriveLines()
    {
        bool pit = !IsLegacy && (_legacyInputs & PitInput) != 0;
        bool rtc = !IsLegacy && (_legacyInputs & RtcInput) != 0;
        bool own = false;
        bool usesOwn = false;
        for (int i = 0; i < ComparatorCount; i++)
        {
            if (_comparators[i].IsLevel)
            {
                bool high = IsEnabled && _comparators[i].IsInterruptEnabled && (_status & (1ul << i)) != 0;
                int line = LineOf(i);
                pit |= high && line == PitIrq;
                rtc |= high && line == RtcIrq;
                own |= high && line == HpetComparator.Route;
                usesOwn = true;
            }
        }

        _context.DriveLine(PitIrq, pit);
        _context.DriveLine(RtcIrq, rtc);
        if (usesOwn)
        {
            _context.DriveLine(HpetComparator.Route, own);
        }
    }

    // Spec: 2.3.5, LEG_RT_CNF: the PIT and the RTC are cut off from IRQ 0 and IRQ 8.
    private void DriveLegacy(int irq, bool high)
    {
        Check.That(irq is PitIrq or RtcIrq);
        byte bit = irq == PitIrq ? PitInput : RtcInput;
        _legacyInputs = (byte)(high ? _legacyInputs | bit : _legacyInputs & ~bit);
        if (!IsLegacy)
        {
            _context.DriveLine(irq, high);
        }
    }

    private enum Register : ulong
    {
        Capabilities = 0x000,
        Configuration = 0x010,
        Status = 0x020,
        Counter = 0x0F0,
    }
}
