using System;
using Hypervisor.Core.State;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Devices.Chipset;

/// <summary>Reset control at port CF9, and system control port A (92): fast A20 and fast reset.</summary>
/// <remarks>Spec: PIIX3 data sheet (290550), 2.6.1 (RC register) and 2.8.2 (port 92).</remarks>
/// <param name="a20">Port 92's bit 1.</param>
/// <param name="onReset">Called, bus lock held, when the guest resets the machine.</param>
public sealed class ResetPort(A20Gate a20, Action onReset) : ICheckpointed
{
    private const byte ResetCpu = 0x04;  // CF9
    private const byte SystemReset = 0x02;
    private const byte FastReset = 0x01; // 92
    private const byte FastA20 = 0x02;

    private byte _control;     // CF9, bits 1 and 2
    private bool _isFastReset; // port 92, bit 0

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x5445_5352, Instance: 0, Version: 1); // "RSET"

    /// <summary>Claims port 92, and CF9 inside the PCI configuration address.</summary>
    public void Attach(PortBus ports)
    {
        ports.RegisterInside("reset control", 0xCF9, new PortHandler(ReadControl, WriteControl));
        ports.Register("port 92", 0x92, 1, new PortHandler(ReadPortA, WritePortA), accessBytesMax: 1);
    }

    /// <summary>Power-on state.</summary>
    public void Reset()
    {
        _control = 0;
        _isFastReset = false;
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        state.U8(ref _control);
        state.Bool(ref _isFastReset);
    }

    private byte ReadControl(int offset) => _control;

    private void WriteControl(int offset, byte value)
    {
        bool resets = (value & ~_control & ResetCpu) != 0;
        _control = (byte)(value & (ResetCpu | SystemReset));
        if (resets)
        {
            onReset();
        }
    }

    private byte ReadPortA(int offset) => (byte)((_isFastReset ? FastReset : 0) | (a20.IsOpen ? FastA20 : 0));

    private void WritePortA(int offset, byte value)
    {
        bool resets = (value & FastReset) != 0 && !_isFastReset;
        _isFastReset = (value & FastReset) != 0;
        a20.Set((value & FastA20) != 0);
        if (resets)
        {
            onReset();
        }
    }
}
