using System;
using Hypervisor.Cpu.State;
using static Hypervisor.TestKit.Oracle.OracleLayout;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>The bare host CPU as the reference.</summary>
internal sealed unsafe class NativeReference : IProgramReference
{
    private const int NeverEnds = -2;

    private readonly NativeCpu _cpu = new(ProgramHost.Build(), ProgramLayout.FileBytes);

    /// <inheritdoc/>
    public ReadOnlySpan<byte> Image => Memory;

    /// <inheritdoc/>
    public ulong? InstructionCount => null;

    private Span<byte> Memory => new(_cpu.Shared + ProgramLayout.ImageAt, ProgramLayout.ImageBytes);

    /// <inheritdoc/>
    public EmulatedResult Run(ProgramMode mode, ReadOnlySpan<byte> image, byte* before, byte* after)
    {
        byte* record = _cpu.Shared + ProgramLayout.RecordAt;
        image.CopyTo(Memory);
        new ReadOnlySpan<byte>(before, OutputAt).CopyTo(new Span<byte>(record, OutputAt));
        StoreSegments(mode);
        _cpu.Run(0, 1);

        byte* output = record + OutputAt;
        new ReadOnlySpan<byte>(output, OutputAt).CopyTo(new Span<byte>(after, OutputAt));
        bool isTimer = *(int*)(output + ProgramLayout.Signal) == ProgramHost.TimerSignal;
        int vector = isTimer ? NeverEnds : (int)*(long*)(output + Trap);
        ulong address = vector == 14 ? *(ulong*)(output + FaultAddress) : 0;
        return new EmulatedResult(vector, (uint)*(ulong*)(output + Error), address);
    }

    // As modify_ldt wants them.
    private void StoreSegments(ProgramMode mode)
    {
        const uint Big = 1 << 14;
        const uint UseableBit = 1 << 6;
        const uint PagesBit = 1 << 4;
        const uint CodeBits = 2 << 1;
        const uint SmallLimitMax = 0xF_FFFF;
        *(ulong*)(_cpu.Shared + ProgramLayout.IsLegacy) = mode.IsLong ? 0ul : 1;
        for (int i = 0; i < ProgramLayout.SegmentCount; i++)
        {
            Segment segment = mode[i];
            bool isLong = segment.Limit > SmallLimitMax;
            uint* words = (uint*)(_cpu.Shared + ProgramLayout.Segments + (i * ProgramLayout.SegmentBytes));
            words[0] = (uint)i;
            words[1] = (uint)segment.Base;
            words[2] = isLong ? segment.Limit >> 12 : segment.Limit;
            words[3] = UseableBit | (isLong ? PagesBit : 0) | ((segment.Attributes & Big) != 0 ? 1u : 0)
                | (i == SegmentRegister.Cs ? CodeBits : 0);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _cpu.Dispose();
}
