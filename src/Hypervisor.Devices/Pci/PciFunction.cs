using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Hypervisor.Core;
using Hypervisor.Core.State;
using Hypervisor.Devices.Bus;
using Register = Hypervisor.Devices.Pci.PciConfigRegister;

namespace Hypervisor.Devices.Pci;

/// <summary>A PCI function: 256 bytes of configuration space, base address registers, one interrupt pin.</summary>
/// <remarks>
/// The space is three tables of bytes: the values, which bits the guest may write, and which bits it clears by writing
/// 1. A device adds capabilities and BARs when it is built, and overrides the hooks where a register does something.
/// Spec: PCI Local Bus 3.0, chapter 6. Called with the bus lock held.
/// </remarks>
public abstract class PciFunction
{
    /// <summary>Size of the configuration space.</summary>
    public const int ConfigBytes = 256;

    private const int BarCount = 6;
    private const ushort IoEnable = 1, MemoryEnable = 2, BusMasterEnable = 4, InterruptDisable = 0x400;
    private const ushort CommandWritable = 0x0547; // I/O, memory, master, parity response, SERR, INTx disable
    private const ushort InterruptStatus = 0x0008, CapabilityListStatus = 0x0010, StatusClearable = 0xF900;
    private const byte CapabilitiesStart = 0x40;

    private readonly byte[] _config = new byte[ConfigBytes];
    private readonly byte[] _writable = new byte[ConfigBytes];
    private readonly byte[] _clearable = new byte[ConfigBytes];
    private readonly byte[] _atReset = new byte[ConfigBytes];
    private readonly List<PciBar> _bars = [];
    private readonly byte[] _loaded = new byte[ConfigBytes];
    private readonly byte[] _capabilityBytes = new byte[ConfigBytes]; // length of a capability, by its offset
    private readonly int _capabilitiesStart;
    private readonly InterruptRequest _interrupt = new();
    private PciHost? _host;

    /// <summary>Makes the header.</summary>
    protected PciFunction(in PciIdentity identity, int capabilitiesStart = CapabilitiesStart)
    {
        _capabilitiesStart = capabilitiesStart;
        SetU16(Register.VendorId, identity.VendorId);
        SetU16(Register.DeviceId, identity.DeviceId);
        _config[Register.Revision] = identity.Revision;
        _config[Register.ClassCode] = (byte)identity.ClassCode;
        SetU16(Register.ClassCode + 1, (ushort)(identity.ClassCode >> 8));
        _config[Register.HeaderType] = identity.IsMultifunction ? (byte)0x80 : (byte)0;
        SetU16(Register.SubsystemVendorId, identity.SubsystemVendorId);
        SetU16(Register.SubsystemId, identity.SubsystemId);
        _config[Register.InterruptPin] = identity.InterruptPin;
        Allow(Register.Command, 2, CommandWritable);
        Allow(Register.CacheLineSize, 1, 0xFF);
        Allow(Register.LatencyTimer, 1, 0xFF);
        Allow(Register.InterruptLine, 1, 0xFF);
        BinaryPrimitives.WriteUInt16LittleEndian(_clearable.AsSpan(Register.Status), StatusClearable);
    }

    /// <summary>Device number on bus 0; -1 until it is plugged in.</summary>
    public int Slot { get; private set; } = -1;

    /// <summary>Function number in the device.</summary>
    public int Function { get; private set; }

    /// <summary>Interrupt pin: 0 none, 1 INTA to 4 INTD.</summary>
    public int InterruptPin => _config[Register.InterruptPin];

    /// <summary>Whether the function pulls its interrupt pin, as the command register lets it.</summary>
    public bool IsInterruptDriven => _interrupt.IsPending && (GetU16(Register.Command) & InterruptDisable) == 0;

    /// <summary>Whether the function may start transfers of its own: DMA and MSI.</summary>
    public bool IsBusMaster => (GetU16(Register.Command) & BusMasterEnable) != 0;

    internal IReadOnlyList<PciBar> Bars => _bars;

    /// <summary>Reads 1, 2 or 4 bytes that lie inside one doubleword.</summary>
    public virtual uint ReadConfig(int offset, int sizeBytes)
    {
        Check.That((offset & 3) + sizeBytes <= 4);
        uint register = BinaryPrimitives.ReadUInt32LittleEndian(_config.AsSpan(offset & 0xFC));
        return (register >> ((offset & 3) * 8)) & (uint.MaxValue >> (32 - (sizeBytes * 8)));
    }

    /// <summary>Writes 1, 2 or 4 bytes that lie inside one doubleword; what is read-only stays.</summary>
    public void WriteConfig(int offset, int sizeBytes, uint value)
    {
        Check.That((offset & 3) + sizeBytes <= 4);
        for (int i = 0; i < sizeBytes; i++)
        {
            int at = (offset + i) & 0xFF;
            byte written = (byte)(value >> (i * 8));
            int kept = _config[at] & ~_writable[at];
            _config[at] = (byte)((kept | (written & _writable[at])) & ~(written & _clearable[at]));
        }

        if (Touches(offset, sizeBytes, Register.Command, 2)
            || Touches(offset, sizeBytes, Register.FirstBar, BarCount * 4))
        {
            DecodeBars();
            DriveInterrupt();
        }

        OnConfigWritten(offset, sizeBytes);
    }

    /// <summary>Brings the configuration space back to what it was when the function was plugged in.</summary>
    public virtual void Reset()
    {
        _atReset.CopyTo(_config, 0);
        _interrupt.IsPending = false;
        DecodeBars();
        DriveInterrupt();
    }

    internal void PlugIn(PciHost host, int slot, int function)
    {
        Check.That(_host is null);
        _host = host;
        Slot = slot;
        Function = function;
        _config.CopyTo(_atReset, 0);
    }

    internal void PlaceBar(PciBar bar, ulong address) => bar.Place(_config, address);

    /// <summary>Reacts to a write to the space, after it took effect.</summary>
    protected virtual void OnConfigWritten(int offset, int sizeBytes)
    {
    }

    /// <summary>Moves the space and the interrupt through a section; on load maps the BARs.</summary>
    /// <remarks>The levels of the wires are in the host bridge's section.</remarks>
    protected void TransferConfig(ref StateCodec state)
    {
        state.Bytes(state.IsSaving ? _config : _loaded);
        _interrupt.Transfer(ref state);
        if (!state.IsSaving)
        {
            LoadConfig();
            ShowInterruptStatus();
            DecodeBars();
        }
    }

    /// <summary>Asks for an interrupt on the pin, or withdraws it.</summary>
    protected void SetInterrupt(bool isPending)
    {
        if (_interrupt.IsPending != isPending)
        {
            _interrupt.IsPending = isPending;
            DriveInterrupt();
        }
    }

    /// <summary>Adds a memory BAR; a 64-bit one takes two registers and is prefetchable.</summary>
    protected void AddMemoryBar(int index, MmioWindow window, bool is64Bit)
        => AddBar(PciBar.ForMemory(Register.FirstBar + (index * 4), window, is64Bit));

    /// <summary>Adds an I/O BAR.</summary>
    protected void AddIoBar(int index, PortWindow window)
        => AddBar(PciBar.ForPorts(Register.FirstBar + (index * 4), window));

    /// <summary>Appends a capability with zeroed contents after its two-byte head; returns its offset.</summary>
    protected int AddCapability(byte id, int lengthBytes)
    {
        int offset = _capabilitiesStart;
        int link = Register.FirstCapability;
        while (_config[link] != 0)
        {
            offset = _config[link];
            link = offset + 1;
            offset += _capabilityBytes[offset];
        }

        offset = (offset + 3) & ~3;
        Check.That(offset + lengthBytes <= ConfigBytes);
        _config[link] = (byte)offset;
        _config[offset] = id;
        _capabilityBytes[offset] = (byte)lengthBytes;
        SetU16(Register.Status, (ushort)(GetU16(Register.Status) | CapabilityListStatus));
        return offset;
    }

    /// <summary>Lets the guest write the bits of <paramref name="mask"/>.</summary>
    protected void Allow(int offset, int sizeBytes, uint mask)
    {
        for (int i = 0; i < sizeBytes; i++)
        {
            _writable[offset + i] = (byte)(mask >> (i * 8));
        }
    }

    /// <summary>A byte of the space.</summary>
    protected byte GetU8(int offset) => _config[offset];

    /// <summary>A word of the space.</summary>
    protected ushort GetU16(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(_config.AsSpan(offset));

    /// <summary>A doubleword of the space.</summary>
    protected uint GetU32(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_config.AsSpan(offset));

    /// <summary>Sets a byte, past the write mask.</summary>
    protected void SetU8(int offset, byte value) => _config[offset] = value;

    /// <summary>Sets a word, past the write mask.</summary>
    protected void SetU16(int offset, ushort value)
        => BinaryPrimitives.WriteUInt16LittleEndian(_config.AsSpan(offset), value);

    /// <summary>Sets a doubleword, past the write mask.</summary>
    protected void SetU32(int offset, uint value)
        => BinaryPrimitives.WriteUInt32LittleEndian(_config.AsSpan(offset), value);

    /// <summary>Whether [offset, +size) and [register, +length) have a byte in common.</summary>
    protected static bool Touches(int offset, int sizeBytes, int register, int lengthBytes)
        => offset < register + lengthBytes && register < offset + sizeBytes;

    private void AddBar(PciBar bar)
    {
        Check.That(_host is null);
        _bars.Add(bar);
        bar.Define(_config, _writable);
    }

    private void DecodeBars()
    {
        ushort command = GetU16(Register.Command);
        foreach (PciBar bar in _bars)
        {
            bar.Decode(_config, (command & (bar.IsIo ? IoEnable : MemoryEnable)) != 0);
        }
    }

    private void DriveInterrupt()
    {
        ShowInterruptStatus();
        _host?.DriveInterrupts();
    }

    private void ShowInterruptStatus()
    {
        ushort status = (ushort)(GetU16(Register.Status) & ~InterruptStatus);
        SetU16(Register.Status, _interrupt.IsPending ? (ushort)(status | InterruptStatus) : status);
    }

    // What no guest can write must not change by a load either: it says what the device is.
    private void LoadConfig()
    {
        for (int i = 0; i < ConfigBytes; i++)
        {
            int changeable = _writable[i] | _clearable[i];
            _config[i] = (byte)((_config[i] & ~changeable) | (_loaded[i] & changeable));
        }
    }

    /// <summary>Whether the device asks for its pin to be pulled.</summary>
    private sealed class InterruptRequest
    {
        public bool IsPending { get; set; }

        public void Transfer(ref StateCodec state)
        {
            bool isPending = IsPending;
            state.Bool(ref isPending);
            IsPending = isPending;
        }
    }
}
