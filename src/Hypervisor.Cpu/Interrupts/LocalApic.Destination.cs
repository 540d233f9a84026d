namespace Hypervisor.Cpu.Interrupts;

/// <summary>Which messages are for this APIC. Spec: SDM volume 3, 11.6.2.</summary>
public sealed partial class LocalApic
{
    private uint ExtendedLogicalId => ((Id >> 4) << 16) | (1u << (int)(Id & 0xF));

    /// <summary>Whether a message to <paramref name="destination"/> is for this APIC.</summary>
    /// <param name="destination">APIC ID or logical set; all ones: everybody.</param>
    /// <param name="isLogical">How to read it.</param>
    public bool IsDestination(uint destination, bool isLogical)
    {
        lock (_lock)
        {
            if (!IsEnabled)
            {
                return false;
            }

            if (destination == uint.MaxValue || (!IsExtended && destination == 0xFF))
            {
                return true;
            }

            return isLogical ? IsInLogicalSet(destination) : destination == Id;
        }
    }

    private bool IsInLogicalSet(uint destination)
    {
        if (IsExtended)
        {
            return (destination >> 16) == (_logicalDestination >> 16)
                && (destination & _logicalDestination & 0xFFFF) != 0;
        }

        uint mine = _logicalDestination >> 24;
        return _destinationFormat >> 28 == 0xF
            ? (destination & mine) != 0
            : (destination >> 4) == (mine >> 4) && (destination & mine & 0xF) != 0;
    }
}
