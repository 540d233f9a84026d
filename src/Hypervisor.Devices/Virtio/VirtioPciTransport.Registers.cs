using Hypervisor.Devices.Bus;
using Hypervisor.Devices.Pci;

namespace Hypervisor.Devices.Virtio;

/// <content>The common configuration structure and the capabilities in configuration space.</content>
public sealed partial class VirtioPciTransport
{
    // The window into BARs for those who can't map them, relative to its capability. Spec: VIRTIO 1.2, 4.1.4.9.
    private const int AccessBar = 4, AccessOffset = 8, AccessLength = 12, AccessData = 16;

    // struct virtio_pci_common_cfg. Spec: VIRTIO 1.2, 4.1.4.3.
    private enum CommonRegister
    {
        DeviceFeatureSelect = 0,
        DeviceFeature = 4,
        DriverFeatureSelect = 8,
        DriverFeature = 12,
        ConfigVector = 16,
        QueueCount = 18,
        Status = 20,
        ConfigGeneration = 21,
        QueueSelect = 22,
        QueueSize = 24,
        QueueVector = 26,
        QueueEnable = 28,
        QueueNotifyOffset = 30,
        DescriptorsLow = 32,
        DescriptorsHigh = 36,
        AvailableLow = 40,
        AvailableHigh = 44,
        UsedLow = 48,
        UsedHigh = 52,
        QueueNotifyData = 56,
        QueueReset = 58,
    }

    /// <inheritdoc/>
    public override uint ReadConfig(int offset, int sizeBytes)
    {
        if (Touches(offset, sizeBytes, _accessCapability + AccessData, 4)
            && TryAccess(out IMmioDevice target, out ulong at, out int length))
        {
            SetU32(_accessCapability + AccessData, (uint)target.ReadMmio(at, length));
        }

        return base.ReadConfig(offset, sizeBytes);
    }

    /// <inheritdoc/>
    protected override void OnConfigWritten(int offset, int sizeBytes)
    {
        if (Touches(offset, sizeBytes, _msixCapability + 2, 2))
        {
            ushort control = GetU16(_msixCapability + 2);
            _msix.Control((control & MsixEnable) != 0, (control & MsixFunctionMask) != 0);
        }

        if (Touches(offset, sizeBytes, _accessCapability + AccessData, 4)
            && TryAccess(out IMmioDevice target, out ulong at, out int length))
        {
            uint data = GetU32(_accessCapability + AccessData);
            target.WriteMmio(at, length, data & (uint.MaxValue >> (32 - (length * 8))));
        }

        if (Touches(offset, sizeBytes, PciConfigRegister.Command, 2))
        {
            ServiceAllQueues(); // bus mastering may just have been allowed
        }
    }

    private int AddMsixCapability()
    {
        int capability = AddCapability(MsixCapability, 12);
        SetU16(capability + 2, (ushort)(_msix.VectorCount - 1));
        SetU32(capability + 4, MsixBar);
        SetU32(capability + 8, MsixTable.PendingOffset | MsixBar);
        Allow(capability + 2, 2, MsixEnable | MsixFunctionMask);
        return capability;
    }

    // struct virtio_pci_cap: 2 length u8 | 3 type u8 | 4 bar u8 | 8 offset u32 | 12 length u32. Spec: 4.1.4.
    private int AddStructureCapability(byte type, uint offset, uint lengthBytes, byte capabilityBytes)
    {
        int capability = AddCapability(VendorCapability, capabilityBytes);
        SetU8(capability + 2, capabilityBytes);
        SetU8(capability + 3, type);
        SetU8(capability + 4, lengthBytes == 0 ? (byte)0 : (byte)StructureBar);
        SetU32(capability + 8, offset);
        SetU32(capability + 12, lengthBytes);
        return capability;
    }

    private bool TryAccess(out IMmioDevice target, out ulong offset, out int lengthBytes)
    {
        byte bar = GetU8(_accessCapability + AccessBar);
        offset = GetU32(_accessCapability + AccessOffset);
        uint length = GetU32(_accessCapability + AccessLength);
        lengthBytes = (int)length;
        target = bar == MsixBar ? _msix : this;
        uint barBytes = bar == MsixBar ? (uint)MsixTable.BarBytes : StructureBytes;
        return bar is MsixBar or StructureBar && length is 1 or 2 or 4
            && offset % length == 0 && offset <= barBytes - length;
    }

    private Virtqueue? Selected() => _queueSelect < _queues.Length ? _queues[_queueSelect] : null;

    private ulong ReadCommon(int offset)
    {
        Virtqueue? queue = Selected();
        return (CommonRegister)offset switch
        {
            CommonRegister.DeviceFeatureSelect => _deviceFeatureSelect,
            CommonRegister.DeviceFeature => Half(_negotiation.Offered, _deviceFeatureSelect),
            CommonRegister.DriverFeatureSelect => _driverFeatureSelect,
            CommonRegister.DriverFeature => Half(_negotiation.Accepted, _driverFeatureSelect),
            CommonRegister.ConfigVector => _configVector,
            CommonRegister.QueueCount => (uint)_queues.Length,
            CommonRegister.Status => (byte)_status,
            CommonRegister.ConfigGeneration => _configGeneration,
            CommonRegister.QueueSelect => _queueSelect,
            _ when queue is null => 0,
            CommonRegister.QueueSize => queue.Size,
            CommonRegister.QueueVector => queue.Vector,
            CommonRegister.QueueEnable => queue.IsEnabled ? 1u : 0u,
            CommonRegister.QueueNotifyOffset => _queueSelect,
            CommonRegister.DescriptorsLow => (uint)queue.Descriptors,
            CommonRegister.DescriptorsHigh => queue.Descriptors >> 32,
            CommonRegister.AvailableLow => (uint)queue.Available,
            CommonRegister.AvailableHigh => queue.Available >> 32,
            CommonRegister.UsedLow => (uint)queue.Used,
            CommonRegister.UsedHigh => queue.Used >> 32,
            CommonRegister.QueueNotifyData => _queueSelect,
            _ => 0, // also QueueReset: a reset is over at once
        };
    }

    private void WriteCommon(int offset, uint value)
    {
        switch ((CommonRegister)offset)
        {
            case CommonRegister.DeviceFeatureSelect:
                _deviceFeatureSelect = value;
                break;
            case CommonRegister.DriverFeatureSelect:
                _driverFeatureSelect = value;
                break;
            case CommonRegister.DriverFeature:
                AcceptFeatures(value);
                break;
            case CommonRegister.ConfigVector:
                _configVector = CheckedVector(value);
                break;
            case CommonRegister.Status:
                WriteStatus((VirtioStatus)value);
                break;
            case CommonRegister.QueueSelect:
                _queueSelect = (ushort)value;
                break;
            default:
                WriteQueue((CommonRegister)offset, value);
                break;
        }
    }

    private void WriteQueue(CommonRegister register, uint value)
    {
        Virtqueue? queue = Selected();
        if (queue is null)
        {
            return;
        }

        switch (register)
        {
            case CommonRegister.QueueSize:
                queue.Resize((ushort)value);
                break;
            case CommonRegister.QueueVector:
                queue.Vector = CheckedVector(value);
                break;
            case CommonRegister.QueueEnable when (ushort)value == 1 && !queue.TryEnable():
                MarkBroken();
                break;
            case CommonRegister.DescriptorsLow:
                queue.Descriptors = Low(queue.Descriptors, value);
                break;
            case CommonRegister.DescriptorsHigh:
                queue.Descriptors = High(queue.Descriptors, value);
                break;
            case CommonRegister.AvailableLow:
                queue.Available = Low(queue.Available, value);
                break;
            case CommonRegister.AvailableHigh:
                queue.Available = High(queue.Available, value);
                break;
            case CommonRegister.UsedLow:
                queue.Used = Low(queue.Used, value);
                break;
            case CommonRegister.UsedHigh:
                queue.Used = High(queue.Used, value);
                break;
            case CommonRegister.QueueReset when (ushort)value == 1 && _negotiation.Has(VirtioFeature.RingReset):
                _device.OnQueueReset(_queueSelect);
                queue.Reset();
                break;
            default:
                break; // read-only, or nothing
        }
    }

    private void WriteStatus(VirtioStatus value)
    {
        if (value == VirtioStatus.None)
        {
            ResetDevice();
            return;
        }

        VirtioStatus before = _status;
        VirtioStatus after = (value & ~VirtioStatus.NeedsReset) | (before & VirtioStatus.NeedsReset);
        bool asksForFeatures = (value & ~before & VirtioStatus.FeaturesOk) != 0;
        if (asksForFeatures && !(_negotiation.IsAcceptable && _device.AreFeaturesSound(_negotiation.Accepted)))
        {
            after &= ~VirtioStatus.FeaturesOk;
        }

        // Without agreed features there is nothing that the device could run by.
        if ((after & VirtioStatus.FeaturesOk) == 0)
        {
            after &= ~VirtioStatus.DriverOk;
        }

        _status = after;
        if ((after & ~before & VirtioStatus.FeaturesOk) != 0)
        {
            _device.OnFeaturesAgreed();
        }

        if ((after & ~before & VirtioStatus.DriverOk) != 0)
        {
            ServiceAllQueues();
        }
    }

    private void ResetDevice()
    {
        _device.OnReset();
        foreach (Virtqueue queue in _queues)
        {
            queue.Reset();
        }

        _negotiation.Accepted = 0;
        _status = VirtioStatus.None;
        _configVector = Virtqueue.NoVector;
        _isr = 0;
        SetInterrupt(false);
    }

    private void AcceptFeatures(uint value)
    {
        if ((_status & VirtioStatus.FeaturesOk) == 0 && _driverFeatureSelect <= 1)
        {
            _negotiation.Accepted = _driverFeatureSelect == 0
                ? Low(_negotiation.Accepted, value)
                : High(_negotiation.Accepted, value);
        }
    }

    private ushort CheckedVector(uint value) => (ushort)value < _msix.VectorCount ? (ushort)value : Virtqueue.NoVector;

    private static ulong Half(ulong value, uint select)
        => select switch { 0 => (uint)value, 1 => value >> 32, _ => 0 };

    private static ulong Low(ulong before, uint value) => (before & 0xFFFF_FFFF_0000_0000) | value;

    private static ulong High(ulong before, uint value) => (uint)before | ((ulong)value << 32);
}
