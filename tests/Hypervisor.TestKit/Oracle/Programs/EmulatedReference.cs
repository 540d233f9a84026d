using System;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>Another vCPU as the reference.</summary>
internal sealed unsafe class EmulatedReference(VcpuFactory factory, bool isReal) : IProgramReference
{
    private readonly EmulatedProgramCpu _cpu = new(factory, isReal);

    /// <inheritdoc/>
    public ReadOnlySpan<byte> Image => _cpu.Image;

    /// <inheritdoc/>
    public ulong? InstructionCount => _cpu.InstructionCount;

    /// <inheritdoc/>
    public EmulatedResult Run(ProgramMode mode, ReadOnlySpan<byte> image, byte* before, byte* after)
        => _cpu.Run(mode, image, before, after);

    /// <inheritdoc/>
    public void Dispose() => _cpu.Dispose();
}
