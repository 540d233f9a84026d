using System;
using System.Numerics;
using Hypervisor.Core.State;

namespace Hypervisor.Devices.Chipset;

/// <summary>The receive side of a 16550A: a FIFO of 16 characters (or one), each with its line errors.</summary>
/// <remarks>Spec: TI PC16550D data sheet, 8.4 "Line Status Register", 8.6 "FIFO mode".</remarks>
internal sealed class UartReceiver
{
    private const int FifoChars = 16;
    private const byte DataReady = 0x01;
    private const byte Overrun = 0x02;
    private const byte Break = 0x10;
    private const byte ErrorInFifo = 0x80;

    private readonly byte[] _chars = new byte[FifoChars]; // oldest first

    private int _count;
    private uint _breaks;    // bit n: character n came with a break
    private bool _hasFifo;
    private byte _errors;    // overrun, and the break of the oldest character, until LSR is read
    private byte _lastChar;  // what an empty receiver reads as

    public int Count => _count;

    public int Room => Capacity - _count;

    public bool HasFifo => _hasFifo;

    /// <summary>LSR bits 0-4 and 7.</summary>
    public byte Status => (byte)(_errors | (_count > 0 ? DataReady : 0) | (_hasFifo && _breaks != 0 ? ErrorInFifo : 0));

    /// <summary>Whether LSR has something for the line status interrupt.</summary>
    public bool HasErrors => _errors != 0;

    private int Capacity => _hasFifo ? FifoChars : 1;

    public void UseFifo(bool on)
    {
        if (on != _hasFifo)
        {
            _hasFifo = on;
            Clear(); // Spec: 8.5, changing FIFO mode clears the FIFOs
        }
    }

    public void Clear()
    {
        _count = 0;
        _breaks = 0;
        _errors &= unchecked((byte)~Break);
    }

    public void Reset()
    {
        _hasFifo = false;
        Clear();
        _errors = 0;
        _lastChar = 0;
        Array.Clear(_chars);
    }

    /// <summary>
    /// Takes one character from the line. Without room it is lost, or replaces the only one, as an overrun.
    /// </summary>
    public void Add(byte value, bool isBreak)
    {
        if (_count == Capacity)
        {
            _errors |= Overrun;
            if (!_hasFifo)
            {
                _chars[0] = value; // Spec: 8.4, the holding register is overwritten; a FIFO keeps what it has
            }

            return;
        }

        _chars[_count] = value;
        if (isBreak)
        {
            _breaks |= 1u << _count;
        }

        _count++;
        if (_count == 1)
        {
            RevealErrors();
        }
    }

    /// <summary>Hands the oldest character to the guest.</summary>
    public byte Take()
    {
        if (_count == 0)
        {
            return _lastChar;
        }

        _lastChar = _chars[0];
        _chars.AsSpan(1, _count - 1).CopyTo(_chars);
        _count--;
        _breaks >>= 1;
        if (_count > 0)
        {
            RevealErrors();
        }

        return _lastChar;
    }

    /// <summary>LSR was read: its error bits are gone.</summary>
    public void ForgetErrors()
    {
        _errors = 0;
        _breaks &= ~1u;
    }

    public void Transfer(ref StateCodec state)
    {
        state.Count(ref _count, FifoChars);
        state.Bytes(_chars);
        state.U32(ref _breaks);
        state.Bool(ref _hasFifo);
        state.U8(ref _errors);
        state.U8(ref _lastChar);
        if (BitOperations.Log2(_breaks | 1) >= FifoChars || _count > Capacity)
        {
            throw new StateFormatException($"UART receiver with {_count} characters and breaks {_breaks:X}");
        }
    }

    private void RevealErrors()
    {
        if ((_breaks & 1) != 0)
        {
            _errors |= Break;
        }
    }
}
