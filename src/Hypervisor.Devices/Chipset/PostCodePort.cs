using Hypervisor.Core.State;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Devices.Chipset;

/// <summary>Port 80: firmware shows its progress there, and Linux writes to it to waste a microsecond.</summary>
public sealed class PostCodePort : IPortDevice, ICheckpointed
{
    private byte _lastCode;

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x5453_4F50, Instance: 0, Version: 1); // "POST"

    /// <summary>The byte written last.</summary>
    public byte LastCode => _lastCode;

    /// <summary>Claims port 80.</summary>
    public void Attach(PortBus ports) => ports.Register("POST code", 0x80, 1, this, accessBytesMax: 1);

    /// <summary>Power-on state.</summary>
    public void Reset() => _lastCode = 0;

    /// <inheritdoc/>
    public uint ReadPort(int offset, int sizeBytes) => _lastCode;

    /// <inheritdoc/>
    public void WritePort(int offset, int sizeBytes, uint value) => _lastCode = (byte)value;

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state) => state.U8(ref _lastCode);
}
