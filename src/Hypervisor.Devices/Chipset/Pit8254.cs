using System;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Devices.Chipset;

/// <summary>The 8254 interval timer on ports 40-43, with port 61's speaker and refresh bits.</summary>
/// <remarks>
/// Spec: Intel 8254 data sheet (231164); PIIX3 data sheet (290550), 2.4 and 2.8.1 (port 61). Counters are computed from
/// guest time when they are read; only the next edge of channel 0's output needs a timer.
/// </remarks>
public sealed class Pit8254 : ICheckpointed
{
    /// <summary>Rate of the counters: a third of the NTSC colour burst, in whole hertz as everybody has it.</summary>
    public const long Hertz = 1_193_182;

    private const long RefreshNanos = 15_085;         // channel 1's traditional 18 ticks
    private const long PeriodNanosMin = 10_000;       // a count of 2 must not become 600 000 host wake-ups a second
    private const byte SpeakerGate = 0x01;
    private const byte PortBWritable = 0x0F;

    private readonly TickRate _rate = new(Hertz);
    private readonly PitChannel[] _channels = [new(), new(), new()];
    private readonly GuestClock _clock;
    private readonly GuestTimer _timer;
    private readonly InterruptLine _irq;

    private readonly TickDebt _debt;

    private byte _portB;
    private long _seenTicks; // up to which channel 0's output was driven

    /// <summary>Makes a timer in power-on state.</summary>
    /// <param name="context">Surroundings.</param>
    /// <param name="irq">Channel 0's output: IRQ 0, or the HPET's input for it.</param>
    /// <param name="isWaiting">Whether an edge of that line still waits for a vCPU to take it.</param>
    public Pit8254(DeviceContext context, InterruptLine irq, Func<bool> isWaiting)
    {
        _clock = context.Timers.Clock;
        _timer = context.Timers.Create(OnEdge);
        _irq = irq;
        _debt = new TickDebt(isWaiting, Pulse);
        Reset();
    }

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x3854_4950, Instance: 0, Version: 2); // "PIT8"

    // Its interrupts come at PeriodNanosMin, and the ones between are nobody's loss.
    private bool IsThinned => _channels[0].IsPeriodic && _rate.NanosAt(_channels[0].Count) < PeriodNanosMin;

    private long Now => _rate.TicksAt(_clock.NowNanos);

    /// <summary>Claims ports 40-43 and 61.</summary>
    public void Attach(PortBus ports)
    {
        ports.Register("PIT", 0x40, 4, new PortHandler(Read, Write), accessBytesMax: 1);
        ports.Register("port 61", 0x61, 1, new PortHandler(ReadPortB, WritePortB), accessBytesMax: 1);
    }

    /// <summary>A vCPU took an edge of channel 0's line.</summary>
    public void OnTaken() => _debt.OnTaken();

    /// <summary>Power-on state: nothing counts, channel 2's gate is low.</summary>
    public void Reset()
    {
        _portB = 0;
        for (int i = 0; i < _channels.Length; i++)
        {
            _channels[i].Reset(gate: i != 2);
        }

        _debt.Forget();
        UpdateInterrupt();
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        foreach (PitChannel channel in _channels)
        {
            channel.Transfer(ref state);
        }

        state.U8(ref _portB);
        if (state.Since(2))
        {
            state.I64(ref _seenTicks);
            _debt.Transfer(ref state);
        }

        if (!state.IsSaving)
        {
            _seenTicks = state.Since(2) ? _seenTicks : Now;
            DriveLine(); // line and timer follow from the channel
            ArmTimer();
        }
    }

    private byte Read(int offset)
    {
        RunDue();
        return offset < 3 ? _channels[offset].Read(Now) : (byte)0xFF; // control: write only
    }

    private void Write(int offset, byte value)
    {
        RunDue();
        if (offset < 3)
        {
            _channels[offset].Write(value, Now);
        }
        else if (value >> 6 == 3)
        {
            ReadBack(value);
        }
        else if ((value & 0x30) == 0)
        {
            _channels[value >> 6].LatchCount(Now);
        }
        else
        {
            _channels[value >> 6].WriteControl(value);
            if (value >> 6 == 0)
            {
                _debt.Forget();
            }
        }

        if (offset == 0 || (offset == 3 && value >> 6 == 0))
        {
            UpdateInterrupt();
        }
    }

    // Spec: 8254, "Read-Back Command": bit 5 low latches counts, bit 4 low latches status, bits 1-3 choose channels.
    private void ReadBack(byte value)
    {
        for (int i = 0; i < _channels.Length; i++)
        {
            if ((value & (2 << i)) == 0)
            {
                continue;
            }

            if ((value & 0x20) == 0)
            {
                _channels[i].LatchCount(Now);
            }

            if ((value & 0x10) == 0)
            {
                _channels[i].LatchStatus(Now);
            }
        }
    }

    private byte ReadPortB(int offset)
    {
        bool isRefresh = _clock.NowNanos / RefreshNanos % 2 != 0;
        return (byte)(_portB | (isRefresh ? 0x10 : 0) | (_channels[2].IsOutputHigh(Now) ? 0x20 : 0));
    }

    private void WritePortB(int offset, byte value)
    {
        _portB = (byte)(value & PortBWritable);
        _channels[2].SetGate((value & SpeakerGate) != 0, Now);
    }

    // What is due comes before the guest's next look at the counter, however late the event loop is.
    private void RunDue()
    {
        if (_timer.DeadlineNanos <= _clock.NowNanos)
        {
            OnEdge();
        }
    }

    private void OnEdge()
    {
        long now = Now;
        long edges = _channels[0].RisingEdges(_seenTicks, now);
        _seenTicks = now;
        if (edges > 0)
        {
            _debt.Tick(IsThinned ? 1 : edges);
        }
        else
        {
            _irq.Set(false); // a pulse of one tick, or an edge that came late
        }

        // Not up to another look at the clock: edges between the two, on a host that is busy elsewhere, would be lost.
        DriveLine();
        ArmTimer();
    }

    private void Pulse()
    {
        _irq.Set(false);
        _irq.Set(true);
        DriveLine();
    }

    private void UpdateInterrupt()
    {
        _seenTicks = Now;
        DriveLine();
        ArmTimer();
    }

    private void DriveLine() => _irq.Set(_channels[0].IsOutputHigh(_seenTicks));

    private void ArmTimer()
    {
        long next = _channels[0].NextEvent(_seenTicks);
        if (next == long.MaxValue)
        {
            _timer.Disarm();
        }
        else
        {
            long deadline = _rate.NanosAt(next);
            _timer.Arm(IsThinned ? Math.Max(deadline, _clock.NowNanos + PeriodNanosMin) : deadline);
        }
    }
}
