using System;
using System.Collections.Generic;
using Iced.Intel;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>What the general registers are used for in one program.</summary>
/// <remarks>Pointers keep their value through the whole program, which is what makes its accesses valid.</remarks>
internal sealed class ProgramRegisters
{
    internal const int IndexMax = 512;
    private const int Rsp = 4;
    private const int PointerCount = 3;
    private const int FewPointers = 1; // of eight registers

    private static readonly int[] s_candidates = [3, 5, 8, 9, 10, 11, 12, 13, 14, 15];

    private static readonly int[] s_fewCandidates = [3, 5];

    internal ProgramRegisters(ProgramMode mode, Random random)
    {
        Count = mode.RegisterCount;
        List<int> candidates = [.. mode.IsLong ? s_candidates : s_fewCandidates];
        if (random.Next(3) == 0)
        {
            candidates.AddRange([6, 7]);
        }

        for (int i = 0; i < (mode.IsLong ? PointerCount : FewPointers); i++)
        {
            int offset = random.Next(ProgramLayout.DataBytes);
            Pointers.Add((Take(candidates, random), ProgramLayout.FirstData + (ulong)offset));
        }

        Counters.Add(Take(candidates, random));
        if (mode.IsLong)
        {
            Counters.Add(Take(candidates, random));
            Walker = Take(candidates, random);
        }

        Reserved |= 1u << Rsp;
    }

    /// <summary>Registers with a known address in the data.</summary>
    internal List<(int Number, ulong Value)> Pointers { get; } = [];

    /// <summary>Loop counters, never above <see cref="IndexMax"/>: also good as an index.</summary>
    internal List<int> Counters { get; } = [];

    /// <summary>Goes through memory until it faults.</summary>
    internal int? Walker { get; }

    /// <summary>How many there are.</summary>
    internal int Count { get; }

    /// <summary>Bit n: random instructions must not write register n now.</summary>
    internal uint Reserved { get; set; }

    internal static Register Full(int number) => Register.RAX + number;

    internal static Register Low32(int number) => Register.EAX + number;

    /// <summary>Whether a random instruction may write it.</summary>
    internal bool IsFree(int number) => (Reserved & (1u << number)) == 0;

    /// <summary>A register that may be written.</summary>
    internal int Free(Random random)
    {
        int number;
        do
        {
            number = random.Next(Count);
        }
        while (!IsFree(number));
        return number;
    }

    private int Take(List<int> candidates, Random random)
    {
        int at = random.Next(candidates.Count);
        int number = candidates[at];
        candidates.RemoveAt(at);
        Reserved |= 1u << number;
        return number;
    }
}
