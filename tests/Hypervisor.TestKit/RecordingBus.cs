using System;
using System.Collections.Generic;
using Hypervisor.Cpu;

namespace Hypervisor.TestKit;

/// <summary>A vCPU's surroundings without devices: remembers what was written, answers what a test prepared.</summary>
public sealed class RecordingBus : IBus, IApicBus
{
    /// <summary>Port writes in order.</summary>
    public List<(ushort Port, int SizeBytes, uint Value)> PortWrites { get; } = [];

    /// <summary>MMIO writes in order.</summary>
    public List<(ulong Gpa, int SizeBytes, ulong Value)> MmioWrites { get; } = [];

    /// <summary>What ports read as; others read as ones.</summary>
    public Dictionary<ushort, uint> Ports { get; } = [];

    /// <summary>Interprocessor interrupts in order.</summary>
    public List<ulong> Ipis { get; } = [];

    /// <summary>EOI broadcasts in order.</summary>
    public List<byte> EndOfInterrupts { get; } = [];

    /// <summary>Vectors that the vCPU took from its local APIC, in order.</summary>
    public List<byte> TakenVectors { get; } = [];

    /// <summary>Runs after each port write.</summary>
    public Action? OnPortWrite { get; set; }

    /// <summary>Runs when a vCPU waits for DMA stores that are under way.</summary>
    public Action? OnSynchronize { get; set; }

    /// <summary>What an INTA cycle answers.</summary>
    public byte ExternalVector { get; set; }

    /// <inheritdoc/>
    public ulong ReadMmio(ulong gpa, int sizeBytes) => ulong.MaxValue >> (64 - (sizeBytes * 8));

    /// <inheritdoc/>
    public void WriteMmio(ulong gpa, int sizeBytes, ulong value) => MmioWrites.Add((gpa, sizeBytes, value));

    /// <inheritdoc/>
    public uint ReadPort(ushort port, int sizeBytes) => Ports.GetValueOrDefault(port, uint.MaxValue);

    /// <inheritdoc/>
    public void WritePort(ushort port, int sizeBytes, uint value)
    {
        PortWrites.Add((port, sizeBytes, value));
        OnPortWrite?.Invoke();
    }

    /// <inheritdoc/>
    public void Synchronize() => OnSynchronize?.Invoke();

    /// <inheritdoc/>
    public void SendIpi(int sourceApicId, ulong interruptCommand) => Ipis.Add(interruptCommand);

    /// <inheritdoc/>
    public void BroadcastEndOfInterrupt(byte vector) => EndOfInterrupts.Add(vector);

    /// <inheritdoc/>
    public void OnInterruptTaken(byte vector) => TakenVectors.Add(vector);

    /// <inheritdoc/>
    public byte AcknowledgeExternalInterrupt() => ExternalVector;
}
