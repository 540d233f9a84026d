using System;
using static Hypervisor.TestKit.Oracle.OracleLayout;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>The bare host CPU as the reference.</summary>
internal sealed unsafe class NativeReference : IProgramReference
{
    private const int NeverEnds = -2;

    private readonly NativeCpu _cpu = new(ProgramHost.Build(), ProgramLayout.FileBytes);

    /// <inheritdoc/>
    public ReadOnlySpan<byte> Image => Memory;

    private Span<byte> Memory => new(_cpu.Shared + ProgramLayout.ImageAt, ProgramLayout.ImageBytes);

    /// <inheritdoc/>
    public EmulatedResult Run(ProgramMode mode, ReadOnlySpan<byte> image, byte* before, byte* after)
    {
        byte* record = _cpu.Shared + ProgramLayout.RecordAt;
        image.CopyTo(Memory);
        new ReadOnlySpan<byte>(before, OutputAt).CopyTo(new Span<byte>(record, OutputAt));
        _cpu.Run(0, 1);

        byte* output = record + OutputAt;
        new ReadOnlySpan<byte>(output, OutputAt).CopyTo(new Span<byte>(after, OutputAt));
        bool isTimer = *(int*)(output + ProgramLayout.Signal) == ProgramHost.TimerSignal;
        int vector = isTimer ? NeverEnds : (int)*(long*)(output + Trap);
        ulong address = vector == 14 ? *(ulong*)(output + FaultAddress) : 0;
        return new EmulatedResult(vector, (uint)*(ulong*)(output + Error), address);
    }

    /// <inheritdoc/>
    public void Dispose() => _cpu.Dispose();
}
