using System;
using Hypervisor.Core.State;

namespace Hypervisor.Devices.Chipset;

/// <summary>
/// Address line 20: closed, the CPU's addresses wrap at every odd mebibyte. Port 92 and the i8042 both set it.
/// </summary>
/// <remarks>Open at reset, as QEMU's is: firmware opens it first thing.</remarks>
/// <param name="onChanged">Told the new state, also after a load.</param>
public sealed class A20Gate(Action<bool> onChanged) : ICheckpointed
{
    private bool _isClosed;

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x4730_3241, Instance: 0, Version: 1); // "A20G"

    /// <summary>Whether addresses pass unchanged.</summary>
    public bool IsOpen => !_isClosed;

    /// <summary>Opens or closes the gate; the last writer wins.</summary>
    public void Set(bool open)
    {
        if (open == _isClosed)
        {
            _isClosed = !open;
            onChanged(open);
        }
    }

    /// <summary>Power-on state: open.</summary>
    public void Reset() => Set(open: true);

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        state.Bool(ref _isClosed);
        if (!state.IsSaving)
        {
            onChanged(IsOpen);
        }
    }
}
