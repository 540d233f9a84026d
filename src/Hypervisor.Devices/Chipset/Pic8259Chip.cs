using System;
using System.Numerics;
using Hypervisor.Core.State;

namespace Hypervisor.Devices.Chipset;

/// <summary>One 8259A of the pair.</summary>
/// <remarks>
/// Spec: Intel 8259A data sheet (231468), "Programming the 8259A"; PIIX3 data sheet (290550), 2.5 for what differs: the
/// cascade is wired, and edge or level is chosen per input by ELCR instead of ICW1's LTIM.
/// </remarks>
internal sealed class Pic8259Chip(bool isPrimary, byte elcrMask, Action<bool> setOutput)
{
    /// <summary>The primary's input that the secondary drives.</summary>
    public const int CascadeInput = 2;

    private const byte CascadeBit = 1 << CascadeInput;

    private byte _lines;            // level of each input
    private byte _latched;          // edges that wait
    private byte _inService;
    private byte _mask;
    private byte _elcr;             // bit set: input is level triggered
    private byte _vectorBase;
    private byte _lowestPriority = 7;
    private byte _nextInitWord;     // 2, 3, 4: the ICW that is due; 0: initialised
    private bool _needsIcw4;
    private bool _isSingle;
    private bool _autoEoi;
    private bool _rotateOnAutoEoi;
    private bool _specialMask;
    private bool _specialFullyNested;
    private bool _pollNext;
    private bool _readsInService;

    /// <summary>The vector of the input that INTA finds when no request is left: IR7.</summary>
    public byte SpuriousVector => (byte)(_vectorBase | 7);

    private byte Requests => (byte)((_latched & ~_elcr) | (_lines & _elcr));

    /// <summary>Power-on state, except for the input levels, which the devices own.</summary>
    public void Reset()
    {
        _elcr = 0;
        _vectorBase = 0;
        Initialise(icw1: 0);
        _nextInitWord = 0;
        UpdateOutput();
    }

    /// <summary>Drives an input.</summary>
    public void SetLine(int input, bool high)
    {
        byte bit = (byte)(1 << input);
        if (high && (_lines & bit) == 0)
        {
            _latched |= bit;
        }

        // An edge stays latched when its line falls, as in QEMU: the PIT's pulse must survive a long CLI.
        _lines = (byte)(high ? _lines | bit : _lines & ~bit);
        UpdateOutput();
    }

    /// <summary>Whether an input requests, unmasked.</summary>
    public bool IsWaiting(int input) => (Requests & ~_mask & (1 << input)) != 0;

    /// <summary>The input that an INTA cycle would take, or -1 when there is none.</summary>
    public int FindRequest()
    {
        byte pending = (byte)(Requests & ~_mask);
        if (pending == 0)
        {
            return -1;
        }

        byte blocking = _inService;
        if (_specialMask)
        {
            blocking &= (byte)~_mask;
        }

        if (_specialFullyNested && isPrimary)
        {
            blocking &= unchecked((byte)~CascadeBit); // the secondary sorts out its own
        }

        int rank = Rank(pending);
        return rank < Rank(blocking) ? InputOf(rank) : -1;
    }

    /// <summary>Takes a request into service and returns its vector.</summary>
    public byte Acknowledge(int input)
    {
        byte bit = (byte)(1 << input);
        _latched &= (byte)~bit;
        if (!_autoEoi)
        {
            _inService |= bit;
        }
        else if (_rotateOnAutoEoi)
        {
            _lowestPriority = (byte)input;
        }

        setOutput(false); // INT falls with INTA: whoever is next makes a new edge
        UpdateOutput();
        return (byte)(_vectorBase | input);
    }

    public byte Read(int offset)
    {
        if (_pollNext)
        {
            _pollNext = false;
            int input = FindRequest();
            if (input < 0)
            {
                return 0;
            }

            Acknowledge(input);
            return (byte)(0x80 | input);
        }

        if (offset == 1)
        {
            return _mask;
        }

        return _readsInService ? _inService : Requests;
    }

    public void Write(int offset, byte value)
    {
        if (offset == 1)
        {
            WriteOdd(value);
        }
        else if ((value & 0x10) != 0)
        {
            Initialise(value);
        }
        else if ((value & 0x08) != 0)
        {
            WriteOcw3(value);
        }
        else
        {
            WriteOcw2(value);
        }

        UpdateOutput();
    }

    public byte ReadTrigger() => _elcr;

    public void WriteTrigger(byte value)
    {
        _elcr = (byte)(value & elcrMask);
        _latched &= (byte)~_elcr;
        UpdateOutput();
    }

    /// <summary>Drives INT from the state; after a load.</summary>
    public void UpdateOutput() => setOutput(FindRequest() >= 0);

    public void Transfer(ref StateCodec state)
    {
        state.U8(ref _lines);
        state.U8(ref _latched);
        state.U8(ref _inService);
        state.U8(ref _mask);
        state.U8(ref _elcr);
        state.U8(ref _vectorBase);
        state.U8(ref _lowestPriority);
        state.U8(ref _nextInitWord);
        state.Bool(ref _needsIcw4);
        state.Bool(ref _isSingle);
        state.Bool(ref _autoEoi);
        state.Bool(ref _rotateOnAutoEoi);
        state.Bool(ref _specialMask);
        state.Bool(ref _specialFullyNested);
        state.Bool(ref _pollNext);
        state.Bool(ref _readsInService);
        _lowestPriority &= 7; // from a peer: it shifts
    }

    // ICW1 resets everything but the lines and ELCR; an input must rise again to be seen.
    private void Initialise(byte icw1)
    {
        _latched = 0;
        _inService = 0;
        _mask = 0;
        _lowestPriority = 7;
        _needsIcw4 = (icw1 & 0x01) != 0;
        _isSingle = (icw1 & 0x02) != 0;
        _autoEoi = false;
        _rotateOnAutoEoi = false;
        _specialMask = false;
        _specialFullyNested = false;
        _pollNext = false;
        _readsInService = false;
        _nextInitWord = 2;
    }

    private void WriteOdd(byte value)
    {
        switch (_nextInitWord)
        {
            case 2:
                _vectorBase = (byte)(value & 0xF8);
                _nextInitWord = (byte)(!_isSingle ? 3 : _needsIcw4 ? 4 : 0);
                break;
            case 3: // the cascade is wired on IR2, whatever ICW3 says
                _nextInitWord = (byte)(_needsIcw4 ? 4 : 0);
                break;
            case 4:
                _autoEoi = (value & 0x02) != 0;
                _specialFullyNested = (value & 0x10) != 0;
                _nextInitWord = 0;
                break;
            default:
                _mask = value; // OCW1
                break;
        }
    }

    private void WriteOcw2(byte value)
    {
        int level = value & 7;
        switch (value >> 5)
        {
            case 0b000:
                _rotateOnAutoEoi = false;
                break;
            case 0b100:
                _rotateOnAutoEoi = true;
                break;
            case 0b001: // non-specific EOI
            case 0b101: // the same, and rotate
                // In special mask mode it passes over the masked ones. Spec: 8259A, "Special Mask Mode".
                int rank = Rank((byte)(_specialMask ? _inService & ~_mask : _inService));
                if (rank < 8)
                {
                    EndInterrupt(InputOf(rank), rotate: (value & 0x80) != 0);
                }

                break;
            case 0b011: // specific EOI
            case 0b111: // the same, and rotate
                EndInterrupt(level, rotate: (value & 0x80) != 0);
                break;
            case 0b110: // set priority
                _lowestPriority = (byte)level;
                break;
            default: // 010: no operation
                break;
        }
    }

    private void WriteOcw3(byte value)
    {
        _pollNext = (value & 0x04) != 0;
        if ((value & 0x02) != 0)
        {
            _readsInService = (value & 0x01) != 0;
        }

        if ((value & 0x40) != 0)
        {
            _specialMask = (value & 0x20) != 0;
        }
    }

    private void EndInterrupt(int input, bool rotate)
    {
        _inService &= (byte)~(1 << input);
        if (rotate)
        {
            _lowestPriority = (byte)input;
        }
    }

    // 0 for the highest priority among the bits, 8 for none.
    private int Rank(byte bits)
    {
        // Rotated right so that the highest priority, the input after the lowest, comes to bit 0.
        int shift = (_lowestPriority + 1) & 7;
        int rotated = ((bits << 8) | bits) >> shift;
        return (rotated & 0xFF) == 0 ? 8 : BitOperations.TrailingZeroCount(rotated & 0xFF);
    }

    private int InputOf(int rank) => (rank + _lowestPriority + 1) & 7;
}
