using System;
using Hypervisor.Core;
using Hypervisor.Core.State;
using Hypervisor.Devices.Bus;
using Hypervisor.Devices.Pci;

namespace Hypervisor.Devices.Virtio;

/// <summary>A virtio device on PCI, modern only: status machine, features, queues, interrupts.</summary>
/// <remarks>
/// Spec: VIRTIO 1.2, section 4.1. BAR 1 is MSI-X; BAR 4 holds the structures, in QEMU's places:
/// <code>
/// 0000 common configuration | 1000 ISR status | 2000 device configuration | 3000 notification, 4 bytes a queue
/// </code>
/// </remarks>
public sealed partial class VirtioPciTransport : PciFunction, IMmioDevice, ICheckpointed
{
    /// <summary>Most queues of a device; bounds the notification area.</summary>
    public const int QueuesMax = 64;

    private const int MsixBar = 1, StructureBar = 4;
    private const int PageBytes = 0x1000, StructureBytes = 0x4000;
    private const int CommonOffset = 0, IsrOffset = 0x1000, DeviceOffset = 0x2000, NotifyOffset = 0x3000;
    private const int CommonBytes = 0x40, NotifyMultiplier = 4;
    private const int ConfigBytesMax = 256;
    private const byte QueueInterrupt = 1, ConfigInterrupt = 2;
    private const byte MsixCapability = 0x11, VendorCapability = 0x09;
    private const ushort MsixEnable = 0x8000, MsixFunctionMask = 0x4000;

    private readonly VirtioDevice _device;
    private readonly DeviceContext _context;
    private readonly VirtioNegotiation _negotiation;
    private readonly Virtqueue[] _queues;
    private readonly MsixTable _msix;
    private readonly int _msixCapability;
    private readonly int _accessCapability;

    private VirtioStatus _status;
    private byte _isr;
    private byte _configGeneration;
    private ushort _configVector = Virtqueue.NoVector;
    private ushort _queueSelect;
    private uint _deviceFeatureSelect;
    private uint _driverFeatureSelect;

    /// <summary>Builds a device and its BARs; it is on the bus once <paramref name="host"/> has it in a slot.</summary>
    /// <param name="context">Surroundings.</param>
    /// <param name="mmio">Where the BARs appear.</param>
    /// <param name="host">Where the function is plugged in.</param>
    /// <param name="slot">PCI device number.</param>
    /// <param name="device">What it is.</param>
    public VirtioPciTransport(DeviceContext context, MmioBus mmio, PciHost host, int slot, VirtioDevice device)
        : base(new PciIdentity(0x1AF4, (ushort)(0x1040 + device.DeviceType), 1, device.ClassCode)
        {
            SubsystemVendorId = 0x1AF4,
            SubsystemId = 0x1100,
            InterruptPin = 1,
        })
    {
        Check.That(device.QueueCount is > 0 and <= QueuesMax && device.ConfigBytes <= ConfigBytesMax);
        _context = context;
        _device = device;
        _negotiation = new VirtioNegotiation(device.DeviceFeatures | VirtioFeature.RingIndirectDescriptors
            | VirtioFeature.RingEventIndex | VirtioFeature.Version1 | VirtioFeature.RingReset);
        _queues = new Virtqueue[device.QueueCount];
        for (int i = 0; i < _queues.Length; i++)
        {
            _queues[i] = new Virtqueue(context.Ram, _negotiation, device.QueueSizeMax);
        }

        // One vector a queue, and one for changes of the configuration.
        _msix = new MsixTable(device.QueueCount + 1, SendMsi);
        string name = $"virtio {device.DeviceType} in slot {slot}";
        AddMemoryBar(MsixBar, mmio.AddWindow(name + " MSI-X", MsixTable.BarBytes, _msix), is64Bit: false);
        AddMemoryBar(
            StructureBar, mmio.AddWindow(name, StructureBytes, this, accessBytesMax: sizeof(uint)), is64Bit: true);
        _msixCapability = AddMsixCapability();
        AddStructureCapability(1, CommonOffset, PageBytes, 16);
        AddStructureCapability(3, IsrOffset, PageBytes, 16);
        AddStructureCapability(4, DeviceOffset, PageBytes, 16);
        SetU32(AddStructureCapability(2, NotifyOffset, PageBytes, 20) + 16, NotifyMultiplier);
        _accessCapability = AddStructureCapability(5, 0, 0, 20);
        Allow(_accessCapability + AccessBar, 1, 0xFF);
        Allow(_accessCapability + AccessOffset, 4, uint.MaxValue);
        Allow(_accessCapability + AccessLength, 4, uint.MaxValue);
        Allow(_accessCapability + AccessData, 4, uint.MaxValue);
        device.Attach(this);
        host.Add(this, slot);
    }

    /// <inheritdoc/>
    public SectionId Section => _device.Section;

    /// <summary>The device behind it.</summary>
    public VirtioDevice Device => _device;

    /// <summary>Which features are in use.</summary>
    public VirtioNegotiation Negotiation => _negotiation;

    /// <summary>The status field as the driver reads it.</summary>
    public VirtioStatus Status => _status;

    /// <summary>Whether queues are to be worked on: the driver is ready, and nothing is broken.</summary>
    public bool IsRunning
        => (_status & (VirtioStatus.DriverOk | VirtioStatus.NeedsReset)) == VirtioStatus.DriverOk && IsBusMaster;

    /// <summary>A queue of the device.</summary>
    public Virtqueue Queue(int index) => _queues[index];

    /// <summary>Interrupts the guest for a queue, if the driver wants to hear of what was pushed.</summary>
    public void NotifyUsed(int index)
    {
        if (_queues[index].TakeInterrupt())
        {
            Interrupt(_queues[index].Vector, QueueInterrupt);
        }
    }

    /// <summary>Tells the driver that the configuration structure changed.</summary>
    public void NotifyConfigChanged()
    {
        _configGeneration++;
        if ((_status & VirtioStatus.DriverOk) != 0)
        {
            Interrupt(_configVector, ConfigInterrupt);
        }
    }

    /// <summary>Stops the device because its guest broke the rules; only a reset helps. Spec: section 2.1.2.</summary>
    public void MarkBroken()
    {
        if ((_status & VirtioStatus.NeedsReset) == 0)
        {
            _status |= VirtioStatus.NeedsReset;
            if ((_status & VirtioStatus.DriverOk) != 0)
            {
                Interrupt(_configVector, ConfigInterrupt);
            }
        }
    }

    /// <summary>
    /// After RAM and all sections were loaded: issues the requests in flight again, in the order in which they were
    /// submitted first, then looks for work in every queue.
    /// </summary>
    public void ResumeInFlight()
    {
        _device.ResumeInFlight();
        ServiceAllQueues();
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        base.Reset();
        _msix.Reset();
        ResetDevice();
        _queueSelect = 0;
        _deviceFeatureSelect = 0;
        _driverFeatureSelect = 0;
    }

    /// <inheritdoc/>
    public ulong ReadMmio(ulong offset, int sizeBytes)
    {
        int at = (int)offset & (PageBytes - 1);
        return ((int)offset & ~(PageBytes - 1)) switch
        {
            CommonOffset => ReadCommon(at) & (ulong.MaxValue >> (64 - (sizeBytes * 8))),
            IsrOffset when at == 0 => TakeIsr(),
            DeviceOffset => ReadDeviceConfig(at, sizeBytes),
            _ => 0,
        };
    }

    /// <inheritdoc/>
    public void WriteMmio(ulong offset, int sizeBytes, ulong value)
    {
        int at = (int)offset & (PageBytes - 1);
        switch ((int)offset & ~(PageBytes - 1))
        {
            case CommonOffset:
                WriteCommon(at, (uint)value);
                break;
            case DeviceOffset:
                for (int i = 0; i < sizeBytes && at + i < _device.ConfigBytes; i++)
                {
                    _device.WriteConfig(at + i, (byte)(value >> (i * 8)));
                }

                break;
            case NotifyOffset:
                Kick(at / NotifyMultiplier);
                break;
            default:
                break; // the ISR is read-only
        }
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        TransferConfig(ref state);
        _msix.Transfer(ref state);
        _negotiation.Transfer(ref state);
        byte status = (byte)_status;
        state.U8(ref status);
        _status = (VirtioStatus)status;
        state.U8(ref _isr);
        state.U8(ref _configGeneration);
        state.U16(ref _configVector);
        state.U16(ref _queueSelect);
        state.U32(ref _deviceFeatureSelect);
        state.U32(ref _driverFeatureSelect);
        int queueCount = _queues.Length;
        state.Count(ref queueCount, QueuesMax);
        if (queueCount != _queues.Length)
        {
            throw new StateFormatException($"device has {queueCount} queues there, {_queues.Length} here");
        }

        foreach (Virtqueue queue in _queues)
        {
            queue.Transfer(ref state);
        }

        if (!state.IsSaving)
        {
            CheckLoaded();
        }

        _device.Transfer(ref state);
    }

    // Vectors index the MSI-X table, and enabled rings are assumed to lie in RAM.
    private void CheckLoaded()
    {
        bool isSound = IsVector(_configVector);
        foreach (Virtqueue queue in _queues)
        {
            isSound &= IsVector(queue.Vector) && (!queue.IsEnabled || queue.TryEnable());
        }

        if (!isSound)
        {
            throw new StateFormatException("a virtqueue has a vector or a ring that the device can't have");
        }

        ulong missing = _negotiation.Accepted & ~_negotiation.Offered;
        if ((_status & VirtioStatus.FeaturesOk) != 0 && missing != 0)
        {
            throw new StateFormatException(
                $"virtio device {_device.DeviceType}: features {missing:X} are in use there and not offered here");
        }
    }

    private bool IsVector(ushort vector) => vector == Virtqueue.NoVector || vector < _msix.VectorCount;

    private void Kick(int index)
    {
        if (index < _queues.Length && _queues[index].IsEnabled && IsRunning)
        {
            _device.ServiceQueue(index);
        }
    }

    private void ServiceAllQueues()
    {
        for (int i = 0; i < _queues.Length; i++)
        {
            Kick(i);
        }
    }

    private void Interrupt(ushort vector, byte cause)
    {
        if (!_msix.IsEnabled)
        {
            _isr |= cause;
            SetInterrupt(true);
        }
        else if (vector != Virtqueue.NoVector)
        {
            _msix.Raise(vector);
        }
    }

    private byte TakeIsr()
    {
        byte isr = _isr;
        _isr = 0;
        SetInterrupt(false);
        return isr;
    }

    private void SendMsi(ulong address, uint data)
    {
        if (IsBusMaster)
        {
            _context.SendMsi(address, data);
        }
    }

    private ulong ReadDeviceConfig(int offset, int sizeBytes)
    {
        Span<byte> config = stackalloc byte[ConfigBytesMax];
        config.Clear();
        _device.ReadConfig(config[.._device.ConfigBytes]);
        ulong value = 0;
        for (int i = 0; i < sizeBytes && offset + i < _device.ConfigBytes; i++)
        {
            value |= (ulong)config[offset + i] << (i * 8);
        }

        return value;
    }
}
