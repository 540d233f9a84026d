using System;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>What the tested engine is compared with.</summary>
internal unsafe interface IProgramReference : IDisposable
{
    /// <summary>The program's memory after the last run.</summary>
    ReadOnlySpan<byte> Image { get; }

    /// <summary>Instructions that the last run finished; null: the reference does not count.</summary>
    ulong? InstructionCount { get; }

    /// <summary>Runs from the state in <paramref name="before"/>; the end goes to <paramref name="after"/>.</summary>
    EmulatedResult Run(ProgramMode mode, ReadOnlySpan<byte> image, byte* before, byte* after);
}
