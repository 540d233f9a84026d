using System;
using Hypervisor.Core.State;

namespace Hypervisor.Devices.Chipset;

/// <summary>One counter of the 8254: a function of the tick at which it was started.</summary>
/// <remarks>
/// Spec: Intel 8254 data sheet (231164), "Mode Definitions". Ticks are those of the 1.193182 MHz clock since power-on.
/// The one CLK pulse between the write of a count and its load is not modelled.
/// </remarks>
internal sealed class PitChannel
{
    private const byte LowOnly = 1;
    private const byte HighOnly = 2;
    private const byte LowThenHigh = 3;

    private byte _mode;
    private byte _access = LowThenHigh;
    private bool _isBcd;
    private int _count = 0x1_0000;  // the count that runs, 1 to 65536
    private int _nextCount;         // written and not loaded yet; 0: none
    private long _nextLoad;         // tick at which it is loaded, in the periodic modes
    private bool _isLoaded;         // since the control word
    private bool _gate = true;
    private bool _isFrozen;         // by the gate
    private long _start;            // tick at which _count was loaded; while frozen: ticks that had passed
    private bool _hasLowByte;       // of a two-byte count that is being written
    private byte _lowByte;
    private bool _readsHighNext;
    private byte _latchedBytes;     // how many bytes of _latchedCount wait
    private ushort _latchedCount;
    private bool _hasLatchedStatus;
    private byte _latchedStatus;

    public bool Gate => _gate;

    public bool IsPeriodic => _mode is 2 or 3;

    /// <summary>Ticks from one load to the next.</summary>
    public int Count => _count;

    private bool IsTriggered => _mode is 1 or 5;

    private int HighTicks => (_count + 1) / 2; // of mode 3: an odd count is high for one tick longer

    public void Reset(bool gate)
    {
        WriteControl(0x30);
        _mode = 0;
        _count = 0x1_0000;
        _lowByte = 0;
        _latchedCount = 0;
        _hasLatchedStatus = false;
        _latchedStatus = 0;
        _gate = gate;
        _start = 0;
    }

    /// <summary>Programs mode and access; counting stops until a count is written.</summary>
    public void WriteControl(byte value)
    {
        int mode = (value >> 1) & 7;
        _mode = (byte)(mode > 5 ? mode - 4 : mode); // 6 and 7 are 2 and 3
        _access = (byte)((value >> 4) & 3);
        _isBcd = (value & 1) != 0;
        _isLoaded = false;
        _isFrozen = false;
        _nextCount = 0;
        _nextLoad = 0;
        _hasLowByte = false;
        _readsHighNext = false;
        _latchedBytes = 0;
    }

    public void LatchCount(long now)
    {
        if (_latchedBytes == 0) // a second latch before the read is ignored
        {
            _latchedCount = CurrentCount(now);
            _latchedBytes = (byte)(_access == LowThenHigh ? 2 : 1);
        }
    }

    public void LatchStatus(long now)
    {
        if (!_hasLatchedStatus)
        {
            bool isNull = !_isLoaded || _nextCount != 0;
            _latchedStatus = (byte)((IsOutputHigh(now) ? 0x80 : 0) | (isNull ? 0x40 : 0) | (_access << 4)
                | (_mode << 1) | (_isBcd ? 1 : 0));
            _hasLatchedStatus = true;
        }
    }

    public byte Read(long now)
    {
        if (_hasLatchedStatus)
        {
            _hasLatchedStatus = false;
            return _latchedStatus;
        }

        ushort count = _latchedBytes > 0 ? _latchedCount : CurrentCount(now);
        bool high = _access == HighOnly || (_access == LowThenHigh && _readsHighNext);
        if (_access == LowThenHigh)
        {
            _readsHighNext = !_readsHighNext;
        }

        if (_latchedBytes > 0)
        {
            _latchedBytes--;
        }

        return (byte)(high ? count >> 8 : count);
    }

    public void Write(byte value, long now)
    {
        switch (_access)
        {
            case LowOnly:
                WriteCount(value, now);
                break;
            case HighOnly:
                WriteCount((ushort)(value << 8), now);
                break;
            default:
                if (_hasLowByte)
                {
                    _hasLowByte = false;
                    WriteCount((ushort)((value << 8) | _lowByte), now);
                }
                else
                {
                    _lowByte = value;
                    _hasLowByte = true;
                    _isLoaded &= _mode != 0; // the first byte stops mode 0
                }

                break;
        }
    }

    public void SetGate(bool high, long now)
    {
        if (high == _gate)
        {
            return;
        }

        CatchUp(now);
        _gate = high;
        if (IsTriggered || IsPeriodic)
        {
            // A rising gate loads the count and starts; a falling one stops the periodic modes only.
            if (high && (_isLoaded || _nextCount != 0))
            {
                LoadNext(now);
            }
            else if (IsPeriodic && _isLoaded)
            {
                Freeze(now);
            }
        }
        else if (_isLoaded && high)
        {
            _start = now - _start;
            _isFrozen = false;
        }
        else if (_isLoaded)
        {
            Freeze(now);
        }
    }

    public bool IsOutputHigh(long now)
    {
        CatchUp(now);
        if (!_isLoaded)
        {
            return _mode != 0;
        }

        long passed = Passed(now);
        return _mode switch
        {
            0 or 1 => passed >= _count,
            2 => _isFrozen || passed % _count != _count - 1,
            3 => _isFrozen || passed % _count < HighTicks,
            _ => passed != _count, // 4 and 5: low for one tick at the end
        };
    }

    /// <summary>
    /// The first tick after <paramref name="now"/> at which the output rises or falls; <see cref="long.MaxValue"/> for
    /// never. The one-tick low pulses of modes 2, 4 and 5 count as one event, at their end.
    /// </summary>
    public long NextEvent(long now)
    {
        CatchUp(now);
        if (!_isLoaded || _isFrozen)
        {
            return long.MaxValue;
        }

        long passed = Passed(now);
        long period = passed / _count * _count;
        long next = _mode switch
        {
            0 or 1 => _count,
            2 => period + _count,
            3 => passed - period < HighTicks && _count > 1 ? period + HighTicks : period + _count,
            _ => _count + 1,
        };
        return next > passed ? _start + next : long.MaxValue;
    }

    /// <summary>
    /// How often the output of a periodic mode rose after <paramref name="since"/>, up to <paramref name="now"/>.
    /// </summary>
    public long RisingEdges(long since, long now)
    {
        if (!IsPeriodic || !_isLoaded || _isFrozen)
        {
            return 0;
        }

        long edges = 0;
        if (_nextCount != 0 && now >= _nextLoad)
        {
            edges = Periods(_nextLoad) - Periods(since);
            since = _nextLoad;
            CatchUp(now);
        }

        return edges + Periods(now) - Periods(since);
    }

    public void Transfer(ref StateCodec state)
    {
        state.U8(ref _mode);
        state.U8(ref _access);
        state.Bool(ref _isBcd);
        state.I32(ref _count);
        state.I32(ref _nextCount);
        state.I64(ref _nextLoad);
        state.Bool(ref _isLoaded);
        state.Bool(ref _gate);
        state.Bool(ref _isFrozen);
        state.I64(ref _start);
        state.Bool(ref _hasLowByte);
        state.U8(ref _lowByte);
        state.Bool(ref _readsHighNext);
        state.U8(ref _latchedBytes);
        state.U16(ref _latchedCount);
        state.Bool(ref _hasLatchedStatus);
        state.U8(ref _latchedStatus);
        if (_mode > 5 || _count is < 1 or > 0x1_0000 || _nextCount is < 0 or > 0x1_0000)
        {
            throw new StateFormatException($"PIT channel in mode {_mode} with counts {_count} and {_nextCount}");
        }
    }

    private static int FromBcd(ushort value)
        => ((value >> 12) * 1000) + (((value >> 8) & 15) * 100) + (((value >> 4) & 15) * 10) + (value & 15);

    private static ushort ToBcd(int value)
        => (ushort)(((value / 1000 % 10) << 12) | ((value / 100 % 10) << 8) | ((value / 10 % 10) << 4) | (value % 10));

    private void WriteCount(ushort written, long now)
    {
        CatchUp(now);
        int count = _isBcd ? FromBcd(written) : written;
        _nextCount = count != 0 ? count : _isBcd ? 10_000 : 0x1_0000;
        if (IsTriggered)
        {
            return; // the gate loads it
        }

        if (IsPeriodic && _isLoaded)
        {
            _nextLoad = _isFrozen ? 0 : NextLoad(now);
            return;
        }

        LoadNext(now);
        if (!_gate)
        {
            Freeze(now);
        }
    }

    private void LoadNext(long now)
    {
        _count = _nextCount != 0 ? _nextCount : _count;
        _nextCount = 0;
        _nextLoad = 0;
        _start = now;
        _isLoaded = true;
        _isFrozen = false;
    }

    private void Freeze(long now)
    {
        _start = now - _start;
        _isFrozen = true;
    }

    private long Periods(long now) => Math.Max(0, now - _start) / _count;

    private long Passed(long now) => _isFrozen ? _start : now - _start;

    private ushort CurrentCount(long now)
    {
        CatchUp(now);
        if (!_isLoaded)
        {
            return ToBus(_count);
        }

        long passed = Passed(now);
        int wrap = _isBcd ? 10_000 : 0x1_0000;
        int inPeriod = (int)(passed % _count);
        int even = _count & ~1; // mode 3 counts by two, from an even number, once in each half
        return ToBus(_mode switch
        {
            2 => _count - inPeriod,
            3 => even - (2 * (inPeriod < HighTicks ? inPeriod : inPeriod - HighTicks)),
            _ => (_count - (int)(passed % wrap) + wrap) % wrap,
        });
    }

    private ushort ToBus(int count) => _isBcd ? ToBcd(count) : (ushort)count;

    // When a count written now is to be loaded: at the end of the period (mode 2) or of the half period (mode 3).
    private long NextLoad(long now)
    {
        long passed = now - _start;
        long period = passed / _count * _count;
        bool inHighHalf = _mode == 3 && passed - period < HighTicks;
        return _start + period + (inHighHalf ? HighTicks : _count);
    }

    private void CatchUp(long now)
    {
        if (_nextCount == 0 || !IsPeriodic || !_isLoaded || _isFrozen || now < _nextLoad)
        {
            return;
        }

        bool atLowHalf = (_nextLoad - _start) % _count != 0;
        _count = _nextCount;
        _nextCount = 0;
        _start = atLowHalf ? _nextLoad - HighTicks : _nextLoad; // so that the low half begins at the load
        _nextLoad = 0;
    }
}
