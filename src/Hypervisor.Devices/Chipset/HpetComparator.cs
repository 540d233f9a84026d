using System;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;

namespace Hypervisor.Devices.Chipset;

/// <summary>One comparator of the HPET.</summary>
/// <remarks>
/// Spec: IA-PC HPET 1.0a, 2.3.8 and 2.3.9. Configuration bits:
/// <code>
/// 1 level | 2 interrupt enable | 3 periodic | 4 periodic capable | 5 64-bit capable | 6 value set | 8 32-bit mode
/// 13:9 route | 14 FSB enable (0) | 15 FSB capable (0) | 63:32 routes that it may take
/// </code>
/// </remarks>
internal sealed class HpetComparator(GuestTimer timer, TickDebt debt)
{
    /// <summary>
    /// The GSI that it drives outside legacy replacement, whatever route is written: no other is wired.
    /// </summary>
    public const int Route = 2;

    private const ulong Level = 1 << 1;
    private const ulong InterruptEnable = 1 << 2;
    private const ulong Periodic = 1 << 3;
    private const ulong PeriodicCapable = 1 << 4;
    private const ulong Is64BitCapable = 1 << 5;
    private const ulong ValueSet = 1 << 6;
    private const ulong Force32Bit = 1 << 8;
    private const ulong RouteField = 0x3E00;
    private const ulong Writable = Level | InterruptEnable | Periodic | ValueSet | Force32Bit | RouteField;
    private const ulong FixedBits = (1ul << (32 + Route)) | PeriodicCapable | Is64BitCapable;

    // A period of one tick must not become a hundred million host wake-ups a second.
    private const long PeriodNanosMin = 10_000;

    private const int NanosPerTick = (int)(Hpet.PeriodFemtos / 1_000_000);

    private const ulong TicksMax = 1ul << 58; // 91 years: never

    private ulong _configuration;
    private ulong _comparator = ulong.MaxValue;
    private ulong _period;

    /// <summary>The edges that it owes.</summary>
    public TickDebt Debt { get; } = debt;

    public bool IsLevel => (_configuration & Level) != 0;

    public bool IsInterruptEnabled => (_configuration & InterruptEnable) != 0;

    private bool IsPeriodic => (_configuration & Periodic) != 0;

    private ulong WidthMask => (_configuration & Force32Bit) != 0 ? uint.MaxValue : ulong.MaxValue;

    public void Reset()
    {
        _configuration = 0;
        _comparator = ulong.MaxValue;
        _period = 0;
        Debt.Forget();
        timer.Disarm();
    }

    public ulong Read(int register) => register switch
    {
        0x00 => _configuration | FixedBits,
        0x08 => _comparator,
        _ => 0,
    };

    public void Write(int register, ulong value, ulong mask)
    {
        if (register == 0x00)
        {
            _configuration = ((_configuration & ~mask) | (value & mask)) & Writable;
            Debt.Forget();
        }
        else if (register == 0x08)
        {
            // Spec: 2.3.9.2.2. In periodic mode the value is the period; with "value set" it is the next match as well.
            if (!IsPeriodic || (_configuration & ValueSet) != 0)
            {
                _comparator = (_comparator & ~mask) | (value & mask);
            }

            if (IsPeriodic)
            {
                _period = (_period & ~mask) | (value & mask);
            }

            _configuration &= ~ValueSet;
        }

        _comparator &= WidthMask;
        _period &= WidthMask;
    }

    /// <summary>A match has passed: a periodic comparator moves on past the counter.</summary>
    /// <returns>
    /// How many matches have passed; 1 when the timer thins them out, for the ones between are nobody's loss.
    /// </returns>
    public ulong Advance(ulong counter)
    {
        if (!IsPeriodic || _period == 0)
        {
            return 1;
        }

        ulong behind = (counter - _comparator) & WidthMask;
        ulong matches = (behind / _period) + 1;
        _comparator = (_comparator + (matches * _period)) & WidthMask;
        return _period < PeriodNanosMin / NanosPerTick ? 1 : matches;
    }

    /// <summary>Sets the timer to the next match.</summary>
    /// <param name="counter">The main counter now.</param>
    /// <param name="nowTicks">Guest time now, in ticks.</param>
    /// <param name="rate">Of the main counter.</param>
    /// <param name="nowNanos">Guest time now.</param>
    public void Arm(ulong counter, long nowTicks, TickRate rate, long nowNanos)
    {
        ulong ticks = (_comparator - counter) & WidthMask;
        if (ticks == 0)
        {
            ticks = WidthMask + 1; // equal now: that match has been, the next is a wrap away; 0 again with 64 bits
        }

        if (ticks is 0 or > TicksMax)
        {
            timer.Disarm();
            return;
        }

        long deadline = rate.NanosAt(nowTicks + (long)ticks);
        timer.Arm(IsPeriodic ? Math.Max(deadline, nowNanos + PeriodNanosMin) : deadline);
    }

    public void Disarm() => timer.Disarm();

    public void Transfer(ref StateCodec state)
    {
        state.U64(ref _configuration);
        state.U64(ref _comparator);
        state.U64(ref _period);
        timer.Transfer(ref state);
        if (state.Since(2))
        {
            Debt.Transfer(ref state);
        }
    }
}
