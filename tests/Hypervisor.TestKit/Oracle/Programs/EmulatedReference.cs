using System;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>Another vCPU as the reference.</summary>
internal sealed unsafe class EmulatedReference(VcpuFactory factory) : IProgramReference
{
    private readonly EmulatedProgramCpu _cpu = new(factory);

    /// <inheritdoc/>
    public ReadOnlySpan<byte> Image => _cpu.Image;

    /// <inheritdoc/>
    public EmulatedResult Run(ReadOnlySpan<byte> image, byte* before, byte* after) => _cpu.Run(image, before, after);

    /// <inheritdoc/>
    public void Dispose() => _cpu.Dispose();
}
