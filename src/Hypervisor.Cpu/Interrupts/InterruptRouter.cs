using System.Collections.Generic;

namespace Hypervisor.Cpu.Interrupts;

/// <summary>Brings messages and interprocessor interrupts to the local APICs they address. With the bus lock held.</summary>
/// <remarks>Spec: SDM volume 3, 11.6.1 (ICR), 11.6.2 (destinations, lowest priority), 11.11 (messages).</remarks>
public sealed class InterruptRouter(IReadOnlyList<LocalApic> apics)
{
    private const uint ShorthandAll = 2;
    private const uint ShorthandOthers = 3;

    /// <summary>Delivers an MSI-format message (MSI, MSI-X, I/O APIC). False: nobody took it.</summary>
    public bool RouteMessage(ulong msiAddress, uint msiData)
    {
        uint mode = (msiData >> 8) & 7;
        bool isLevel = (msiData & (1 << 15)) != 0;
        bool isSingle = mode == DeliveryMode.LowestPriority || (msiAddress & 8) != 0;
        LocalApic? lowest = null;
        bool found = false;
        for (int i = 0; i < apics.Count; i++)
        {
            LocalApic apic = apics[i];
            if (!apic.MatchesMessage(msiAddress))
            {
                continue;
            }

            found = true;
            if (!isSingle)
            {
                apic.Accept(mode, (byte)msiData, isLevel);
            }
            else if (lowest is null || apic.ProcessorPriority < lowest.ProcessorPriority)
            {
                lowest = apic;
            }
        }

        lowest?.Accept(mode, (byte)msiData, isLevel);
        return found;
    }

    /// <summary>Delivers an interprocessor interrupt as <see cref="IApicBus.SendIpi"/> describes it.</summary>
    public void RouteIpi(int sourceApicId, ulong interruptCommand)
    {
        uint mode = (uint)(interruptCommand >> 8) & 7;
        uint shorthand = (uint)(interruptCommand >> 18) & 3;
        bool isLogical = (interruptCommand & (1 << 11)) != 0;
        bool isDeassert = mode == DeliveryMode.Init && (interruptCommand & 0xC000) == 0x8000;
        if (isDeassert)
        {
            return; // arbitration IDs do not exist any more
        }

        LocalApic? lowest = null;
        for (int i = 0; i < apics.Count; i++)
        {
            LocalApic apic = apics[i];
            bool isTarget = shorthand switch
            {
                ShorthandAll => true,
                ShorthandOthers => apic.ApicId != sourceApicId,
                _ => apic.Registers.Matches((uint)(interruptCommand >> 32), isLogical),
            };
            if (!isTarget)
            {
                continue;
            }

            if (mode != DeliveryMode.LowestPriority)
            {
                apic.Accept(mode, (byte)interruptCommand, isLevel: false);
            }
            else if (lowest is null || apic.ProcessorPriority < lowest.ProcessorPriority)
            {
                lowest = apic;
            }
        }

        lowest?.Accept(mode, (byte)interruptCommand, isLevel: false);
    }
}
