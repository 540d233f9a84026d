using System;
using System.Collections.Generic;
using Hypervisor.Core;
using Hypervisor.Core.State;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Devices.Pci;

/// <summary>The i440FX host bridge (8086:1237 at 0:0.0): configuration mechanism 1, and the wiring of INTx.</summary>
/// <remarks>
/// Spec: PCI Local Bus 3.0, 3.2.2.3.2. Address register at CF8, written as a doubleword only:
/// <code>
/// 31 enable | 30:24 reserved | 23:16 bus | 15:11 device | 10:8 function | 7:2 register | 1:0 = 0
/// </code>
/// Data at CFC-CFF, of any width. One bus; what is not there reads as all ones. Pin p of device d pulls
/// PIRQ (d - 1 + p) mod 4, p from 0; PIRQ n is GSI 16 + n at the I/O APIC, and what the PIIX3 routes it to at the PIC.
/// </remarks>
public sealed class PciHost : PciFunction, IPortDevice, ICheckpointed
{
    /// <summary>Number of interrupt wires between slots and the interrupt controllers.</summary>
    public const int PirqCount = 4;

    /// <summary>First port of the configuration mechanism.</summary>
    public const ushort FirstPort = 0xCF8;

    /// <summary>Ports of the configuration mechanism.</summary>
    public const int PortCount = 8;

    /// <summary>Input of the I/O APIC that PIRQ A is wired to; B, C and D follow.</summary>
    public const int FirstGsi = 16;

    private const int SlotCount = 32, FunctionCount = 8;
    private const uint Enable = 1u << 31;
    private const uint AddressWritable = 0x80FF_FFFC;
    private const int DataOffset = 4;
    private const int PamFirst = 0x59, PamCount = 7, Smram = 0x72;

    private readonly PciFunction?[] _functions = new PciFunction?[SlotCount * FunctionCount];
    private readonly List<PciFunction> _plugged = [];
    private readonly List<Action<int, bool>> _pirqListeners = [];
    private readonly Action<int, bool> _driveGsi;
    private uint _address;
    private byte _pirqLevels; // derived: bit n says that PIRQ n is pulled; kept to drive changes only

    /// <summary>Makes the bridge, and plugs it in as device 0.</summary>
    /// <param name="driveGsi">Sets the level of an input of the I/O APIC.</param>
    public PciHost(Action<int, bool> driveGsi)
        : base(new PciIdentity(0x8086, 0x1237, 2, 0x06_0000) { SubsystemVendorId = 0x1AF4, SubsystemId = 0x1100 })
    {
        _driveGsi = driveGsi;

        // Firmware switches shadow RAM here. Our RAM is always readable and writable there, so the bits only remember.
        Allow(PamFirst, 4, uint.MaxValue);
        Allow(PamFirst + 4, PamCount - 4, uint.MaxValue);
        Allow(Smram, 1, 0x7F);
        SetU8(Smram, 0x02);
        PlugIn(this, 0, 0);
        _functions[0] = this;
        _plugged.Add(this);
    }

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x4849_4350, Instance: 0, Version: 1); // "PCIH"

    /// <summary>Functions in the order of device and function number.</summary>
    public IEnumerable<PciFunction> Functions => _plugged;

    /// <summary>Level of a PIRQ.</summary>
    public bool IsPirqHigh(int pirq) => ((_pirqLevels >> pirq) & 1) != 0;

    /// <summary>The PIRQ that a function's pin is wired to.</summary>
    public static int Pirq(int slot, int interruptPin) => (slot + interruptPin - 2) & (PirqCount - 1);

    /// <summary>Connects the south bridge, which hears of a PIRQ that changed and routes it to the PIC.</summary>
    public void ConnectPirqs(Action<int, bool> onChanged) => _pirqListeners.Add(onChanged);

    /// <summary>Puts a function into a slot, when the machine is built.</summary>
    public void Add(PciFunction pciFunction, int slot, int function = 0)
    {
        Check.That(slot is >= 0 and < SlotCount && function is >= 0 and < FunctionCount);
        int index = (slot * FunctionCount) + function;
        Check.That(_functions[index] is null);
        pciFunction.PlugIn(this, slot, function);
        _functions[index] = pciFunction;
        _plugged.Clear();
        foreach (PciFunction? plugged in _functions)
        {
            if (plugged is not null)
            {
                _plugged.Add(plugged);
            }
        }
    }

    /// <summary>The function at a place, or null.</summary>
    public PciFunction? Find(int slot, int function) => _functions[(slot * FunctionCount) + function];

    /// <inheritdoc/>
    public uint ReadPort(int offset, int sizeBytes)
    {
        if (offset < DataOffset)
        {
            return (_address >> (offset * 8)) & Mask(sizeBytes);
        }

        PciFunction? target = Addressed();
        return target is null ? Mask(sizeBytes) : target.ReadConfig(RegisterAt(offset), sizeBytes);
    }

    /// <inheritdoc/>
    public void WritePort(int offset, int sizeBytes, uint value)
    {
        if (offset < DataOffset)
        {
            // Narrower writes to CF8-CFB pass through to other ports on a real bridge; nothing of ours is there.
            _address = offset == 0 && sizeBytes == 4 ? value & AddressWritable : _address;
            return;
        }

        Addressed()?.WriteConfig(RegisterAt(offset), sizeBytes, value);
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        base.Reset();
        _address = 0;
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        TransferConfig(ref state);
        state.U32(ref _address);
        state.U8(ref _pirqLevels);
        if (!state.IsSaving)
        {
            _pirqLevels &= (1 << PirqCount) - 1;
            for (int pirq = 0; pirq < PirqCount; pirq++)
            {
                Drive(pirq, IsPirqHigh(pirq));
            }
        }
    }

    /// <summary>Works out the four wires from all functions, and drives those that changed.</summary>
    internal void DriveInterrupts()
    {
        byte levels = 0;
        foreach (PciFunction function in _plugged)
        {
            if (function.IsInterruptDriven)
            {
                levels |= (byte)(1 << Pirq(function.Slot, function.InterruptPin));
            }
        }

        int changed = levels ^ _pirqLevels;
        _pirqLevels = levels;
        for (int pirq = 0; pirq < PirqCount; pirq++)
        {
            if (((changed >> pirq) & 1) != 0)
            {
                Drive(pirq, IsPirqHigh(pirq));
            }
        }
    }

    private static uint Mask(int sizeBytes) => uint.MaxValue >> (32 - (sizeBytes * 8));

    private void Drive(int pirq, bool high)
    {
        _driveGsi(FirstGsi + pirq, high);
        foreach (Action<int, bool> onChanged in _pirqListeners)
        {
            onChanged(pirq, high);
        }
    }

    private int RegisterAt(int offset) => (int)(_address & 0xFC) | (offset & 3);

    private PciFunction? Addressed()
    {
        bool isHere = (_address & Enable) != 0 && (_address & 0x00FF_0000) == 0;
        return isHere ? _functions[(_address >> 8) & 0xFF] : null;
    }
}
