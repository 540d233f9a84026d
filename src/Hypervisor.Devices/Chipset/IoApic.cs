using System;
using Hypervisor.Core;
using Hypervisor.Core.State;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Devices.Chipset;

/// <summary>The I/O APIC: 24 pins, version 0x20 (with an EOI register), at 0xFEC00000.</summary>
/// <remarks>
/// Spec: Intel 82093AA data sheet (290566), section 3; ICH9 data sheet (316972), 13.5 for the EOI register.
/// Redirection entry:
/// <code>
/// 7:0 vector | 10:8 delivery mode | 11 destination mode | 12 delivery status (0) | 13 polarity | 14 remote IRR
/// 15 level triggered | 16 mask | 63:56 destination
/// </code>
/// Polarity is kept but has no effect, as in QEMU: a line's level here means asserted or not. Pin levels are part of
/// the state, so it must be loaded before the devices, which drive their lines again.
/// </remarks>
/// <param name="sendMsi">Takes interrupts as messages. Spec: SDM volume 3, 11.11.</param>
public sealed class IoApic(Action<ulong, uint> sendMsi) : IMmioDevice, ICheckpointed
{
    /// <summary>Number of pins (global system interrupts).</summary>
    public const int PinCount = 24;

    private const ulong Address = 0xFEC0_0000;
    private const ulong AddressBytes = 0x1000;
    private const uint Version = ((PinCount - 1) << 16) | 0x20;
    private const uint MessageAddress = 0xFEE0_0000;
    private const uint MessageAssert = 1 << 14;

    private const ulong RemoteIrr = 1 << 14;
    private const ulong LevelTriggered = 1 << 15;
    private const ulong Masked = 1 << 16;
    private const ulong ReadOnlyBits = (1 << 12) | RemoteIrr;
    private const ulong KnownBits = 0xFF00_0000_0001_FFFF;

    private readonly ulong[] _entries = NewEntries();

    private byte _select;
    private byte _id;
    private uint _levels; // bit n: pin n is asserted

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x4941_4F49, Instance: 0, Version: 1); // "IOAI"

    /// <summary>Claims its registers.</summary>
    public void Attach(MmioBus mmio) => mmio.Register("I/O APIC", Address, AddressBytes, this, accessBytesMax: 4);

    /// <summary>Power-on state: all pins masked. Levels stay, the devices own them.</summary>
    public void Reset()
    {
        _select = 0;
        _id = 0;
        Array.Fill(_entries, Masked);
    }

    /// <summary>Drives a pin.</summary>
    public void Drive(int pin, bool high)
    {
        Check.That(pin is >= 0 and < PinCount);
        uint bit = 1u << pin;
        if (high == ((_levels & bit) != 0))
        {
            return;
        }

        _levels ^= bit;
        if (high)
        {
            // An edge at a masked pin is lost, a level stays. Spec: 82093AA, 3.2.4, "Interrupt Mask".
            Request(pin);
        }
    }

    /// <summary>The vector that an edge at a pin is sent as; -1 for none: masked, by level, or no vector.</summary>
    public int EdgeVector(int pin)
    {
        ulong entry = _entries[pin];
        var mode = (DeliveryMode)((entry >> 8) & 7);
        bool isSent = (entry & (Masked | LevelTriggered)) == 0;
        return isSent && mode is DeliveryMode.Fixed or DeliveryMode.LowestPriority ? (byte)entry : -1;
    }

    /// <summary>A local APIC ended a level-triggered interrupt, or the guest wrote the EOI register.</summary>
    public void EndOfInterrupt(byte vector)
    {
        for (int pin = 0; pin < PinCount; pin++)
        {
            ulong entry = _entries[pin];
            if ((byte)entry == vector && (entry & RemoteIrr) != 0)
            {
                _entries[pin] = entry & ~RemoteIrr;
                RequestAgain(pin);
            }
        }
    }

    /// <inheritdoc/>
    public ulong ReadMmio(ulong offset, int sizeBytes) => (Register)offset switch
    {
        Register.Select => _select,
        Register.Window => ReadIndexed(),
        _ => 0,
    };

    /// <inheritdoc/>
    public void WriteMmio(ulong offset, int sizeBytes, ulong value)
    {
        switch ((Register)offset)
        {
            case Register.Select:
                _select = (byte)value;
                break;
            case Register.Window when sizeBytes == 4:
                WriteIndexed((uint)value);
                break;
            case Register.EndOfInterrupt:
                EndOfInterrupt((byte)value);
                break;
            default:
                break;
        }
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        state.U8(ref _select);
        state.U8(ref _id);
        state.U32(ref _levels);
        foreach (ref ulong entry in _entries.AsSpan())
        {
            state.U64(ref entry);
        }
    }

    private static ulong[] NewEntries()
    {
        ulong[] entries = new ulong[PinCount];
        Array.Fill(entries, Masked);
        return entries;
    }

    private uint ReadIndexed()
    {
        int index = _select - 0x10;
        return _select switch
        {
            0x00 or 0x02 => (uint)_id << 24, // the arbitration ID follows the ID
            0x01 => Version,
            _ when index is >= 0 and < PinCount * 2 => (uint)(_entries[index / 2] >> (index % 2 * 32)),
            _ => 0,
        };
    }

    private void WriteIndexed(uint value)
    {
        int index = _select - 0x10;
        if (_select == 0x00)
        {
            _id = (byte)((value >> 24) & 0x0F);
        }
        else if (index is >= 0 and < PinCount * 2)
        {
            WriteEntry(index / 2, value, isHigh: index % 2 != 0);
        }
    }

    private void WriteEntry(int pin, uint value, bool isHigh)
    {
        ulong old = _entries[pin];
        ulong entry = isHigh ? (uint)old | ((ulong)value << 32) : (old & 0xFFFF_FFFF_0000_0000) | value;
        entry = (entry & ~ReadOnlyBits & KnownBits) | (old & RemoteIrr);
        if ((entry & LevelTriggered) == 0)
        {
            // How a system without an EOI register gets rid of a stuck remote IRR: edge and back.
            entry &= ~RemoteIrr;
        }

        _entries[pin] = entry;
        RequestAgain(pin);
    }

    // A level that still stands asks again; an edge has been and gone.
    private void RequestAgain(int pin)
    {
        if ((_entries[pin] & LevelTriggered) != 0 && (_levels & (1u << pin)) != 0)
        {
            Request(pin);
        }
    }

    private void Request(int pin)
    {
        ulong entry = _entries[pin];
        if ((entry & (Masked | RemoteIrr)) != 0)
        {
            return;
        }

        var mode = (DeliveryMode)((entry >> 8) & 7);
        if (mode is DeliveryMode.Reserved3 or DeliveryMode.Reserved6)
        {
            return;
        }

        // Only these two have an EOI to come; SMI, NMI, INIT and ExtINT are edges whatever the entry says.
        bool isLevel = (entry & LevelTriggered) != 0 && mode is DeliveryMode.Fixed or DeliveryMode.LowestPriority;
        if (isLevel)
        {
            _entries[pin] = entry | RemoteIrr;
        }

        uint destination = (uint)(entry >> 56) << 12;
        uint destinationMode = (uint)((entry >> 11) & 1) << 2;
        uint redirectionHint = mode == DeliveryMode.LowestPriority ? 1u << 3 : 0;
        uint data = (byte)entry | ((uint)mode << 8) | MessageAssert | (isLevel ? (uint)LevelTriggered : 0);
        sendMsi(MessageAddress | destination | redirectionHint | destinationMode, data);
    }

    private enum Register : ulong
    {
        Select = 0x00,
        Window = 0x10,
        EndOfInterrupt = 0x40,
    }

    private enum DeliveryMode
    {
        Fixed = 0,
        LowestPriority = 1,
        Smi = 2,
        Reserved3 = 3,
        Nmi = 4,
        Init = 5,
        Reserved6 = 6,
        ExternalInterrupt = 7,
    }
}
