using Hypervisor.Core.State;
using Hypervisor.Core.Time;

namespace Hypervisor.Cpu.Interrupts;

/// <summary>The local APIC's timer: one-shot, periodic, TSC deadline. Spec: SDM volume 3, 11.5.4.</summary>
/// <remarks>The bus clock is 1 GHz, a tick per guest nanosecond, divided as the guest asks.</remarks>
internal sealed unsafe class ApicTimer(Vcpu vcpu, GuestTimer timer)
{
    // A guest must not make the event loop spin: no two expiries are closer than this.
    private const long PeriodNanosMin = 50_000;

    private const uint ModeMask = 3 << 17;
    private const uint Periodic = 1 << 17;
    private const uint TscDeadline = 2 << 17;

    private uint _lvt = LocalApic.LvtMasked;
    private uint _initialCount;
    private uint _divide;
    private long _startNanos;
    private ulong _deadline;

    internal uint Lvt => _lvt;

    internal uint InitialCount => _initialCount;

    internal uint Divide => _divide;

    internal ulong Deadline => _deadline;

    /// <summary>Counts down to 0; a periodic one starts over.</summary>
    internal uint CurrentCount
    {
        get
        {
            if (_initialCount == 0 || IsDeadlineMode)
            {
                return 0;
            }

            ulong ticks = (ulong)(vcpu.Timers.Clock.NowNanos - _startNanos) / Divisor;
            if ((_lvt & ModeMask) == Periodic)
            {
                return _initialCount - (uint)(ticks % _initialCount);
            }

            return ticks >= _initialCount ? 0 : _initialCount - (uint)ticks;
        }
    }

    private bool IsDeadlineMode => (_lvt & ModeMask) == TscDeadline;

    // Bits 0, 1 and 3 of the register: 0 means 2, 7 means 1.
    private ulong Divisor
    {
        get
        {
            uint code = ((_divide >> 1) & 4) | (_divide & 3);
            return code == 7 ? 1 : 2ul << (int)code;
        }
    }

    /// <summary>A change of mode disarms the timer. Spec: SDM volume 3, 11.5.4.1.</summary>
    internal void WriteLvt(uint value)
    {
        bool changesMode = ((value ^ _lvt) & ModeMask) != 0;
        bool wasDeadline = IsDeadlineMode;
        _lvt = value;
        if (changesMode && (wasDeadline || IsDeadlineMode))
        {
            _deadline = 0;
            _initialCount = 0;
        }

        Rearm();
    }

    internal void WriteInitialCount(uint value)
    {
        if (IsDeadlineMode)
        {
            return;
        }

        _initialCount = value;
        _startNanos = vcpu.Timers.Clock.NowNanos;
        Rearm();
    }

    internal void WriteDivide(uint value)
    {
        _divide = value & 0xB;
        Rearm();
    }

    internal void WriteDeadline(ulong value)
    {
        if (IsDeadlineMode)
        {
            _deadline = value;
            Rearm();
        }
    }

    /// <summary>The deadline passed: prepares the next period. True: the interrupt is due.</summary>
    internal bool Expire()
    {
        if (IsDeadlineMode)
        {
            _deadline = 0;
        }
        else if ((_lvt & ModeMask) == Periodic && _initialCount != 0)
        {
            // Periods that passed unseen (a long pause of the host) are skipped, not delivered in a burst.
            long period = (long)(_initialCount * Divisor);
            long late = vcpu.Timers.Clock.NowNanos - _startNanos;
            _startNanos += late / period * period;
            timer.Arm(System.Math.Max(_startNanos + period, vcpu.Timers.Clock.NowNanos + PeriodNanosMin));
        }

        return (_lvt & LocalApic.LvtMasked) == 0;
    }

    /// <summary>Call when the guest TSC was moved.</summary>
    internal void Rearm()
    {
        if (IsDeadlineMode)
        {
            if (_deadline == 0)
            {
                timer.Disarm();
            }
            else
            {
                long nanos = (long)(_deadline - vcpu.State->TscOffset);
                timer.Arm(nanos < 0 && (long)_deadline > 0 ? 0 : nanos == long.MaxValue ? nanos - 1 : nanos);
            }
        }
        else if (_initialCount == 0)
        {
            timer.Disarm();
        }
        else
        {
            long due = _startNanos + (long)(_initialCount * Divisor);
            bool isOver = (_lvt & ModeMask) != Periodic && due <= vcpu.Timers.Clock.NowNanos && !timer.IsArmed;
            if (!isOver)
            {
                timer.Arm(due);
            }
        }
    }

    internal void Reset()
    {
        _lvt = LocalApic.LvtMasked;
        _initialCount = 0;
        _divide = 0;
        _startNanos = 0;
        _deadline = 0;
        timer.Disarm();
    }

    internal void Transfer(ref StateCodec state)
    {
        state.U32(ref _lvt);
        state.U32(ref _initialCount);
        state.U32(ref _divide);
        state.I64(ref _startNanos);
        state.U64(ref _deadline);
        timer.Transfer(ref state);
    }
}
