using System;
using Hypervisor.Cpu.State;
using static Hypervisor.TestKit.Oracle.Programs.ProgramLayout;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>The mode of one program: width of code and stack, and its segments.</summary>
/// <remarks>
/// Addresses in <see cref="ProgramLayout"/> are linear. Segments of 16 bits begin so much before what they are for that
/// all of it has offsets below 64 KiB. FS, where it is not flat, is the code as data: stores to code go through it.
/// </remarks>
internal sealed class ProgramMode
{
    private const uint AllData = 0xF3 | (1 << 14) | (1 << 15); // DPL 3, read/write, accessed, B, G
    private const uint SmallData = 0xF3;
    private const uint Code64 = 0xFB | (1 << 13) | (1 << 15);
    private const uint Code32 = 0xFB | (1 << 14) | (1 << 15);
    private const uint Code16 = 0xFB;
    private const uint Big = 1 << 14;
    private const uint SmallLimitMax = 0xF_FFFF;
    private const int CodeReach = 0xB000; // so that the last page of code ends at 64 KiB
    private const int DataReach = 0x8000;
    private const int StackReach = 0xC000;

    private const ushort Code64Selector = 0x33;
    private const ushort DataSelector = 0x2B;

    private readonly Segment[] _segments = new Segment[6];

    /// <param name="kind">What it is like.</param>
    /// <param name="random">Chooses the segments.</param>
    /// <param name="isForHost">
    /// The bare host's kernel spoils the upper half of a stack pointer of 16 bits, so the stack has 32.
    /// </param>
    internal ProgramMode(ProgramKind kind, Random random, bool isForHost = false)
    {
        Kind = kind;
        bool is16 = kind is ProgramKind.Protected16 or ProgramKind.Real16;
        Bits = kind == ProgramKind.Long ? 64 : is16 ? 16 : 32;
        WordBytes = kind == ProgramKind.Long ? 8 : is16 && random.Next(3) != 0 ? 2 : 4;
        uint code = kind == ProgramKind.Long ? Code64 : is16 ? Code16 : Code32;
        for (int i = 0; i < _segments.Length; i++)
        {
            bool isCode = i == SegmentRegister.Cs;
            _segments[i] = new Segment
            {
                Limit = is16 ? ushort.MaxValue : uint.MaxValue,
                Attributes = isCode ? code : is16 ? SmallData : AllData,
                Selector = kind == ProgramKind.Long ? isCode ? Code64Selector : DataSelector : LocalSelector(i),
            };
        }

        if (kind is ProgramKind.Long or ProgramKind.Flat32)
        {
            _segments[SegmentRegister.Fs].Base = OracleLayout.FsBase;
            _segments[SegmentRegister.Gs].Base = OracleLayout.GsBase;
            return;
        }

        int near = is16 ? 1 : 0x1000; // bases of 32-bit segments are far away too
        SetBase(SegmentRegister.Cs, CodeAddress, CodeReach * near, random);
        SetBase(SegmentRegister.Ds, DataAddress, DataReach * near, random);
        SetBase(SegmentRegister.Es, DataAddress, DataReach * near, random);
        SetBase(SegmentRegister.Gs, DataAddress, DataReach * near, random);
        SetBase(SegmentRegister.Ss, StackAddress, StackReach * near, random);
        _segments[SegmentRegister.Fs].Base = _segments[SegmentRegister.Cs].Base;
        if (is16)
        {
            _segments[SegmentRegister.Ss].Attributes |= random.Next(2) == 0 || isForHost ? Big : 0;
        }
        else
        {
            SetLimits(random);
        }
    }

    /// <summary>Selector of a segment register in code of 16 and 32 bits: an entry of the LDT on the host.</summary>
    internal static ushort LocalSelector(int register) => (ushort)((register << 3) | 7);

    internal ProgramKind Kind { get; }

    /// <summary>Of the code: 16, 32 or 64.</summary>
    internal int Bits { get; }

    /// <summary>What a push, a pop, a call and a return move: 2, 4 or 8.</summary>
    internal int WordBytes { get; }

    internal bool IsLong => Kind == ProgramKind.Long;

    internal bool IsReal => Kind == ProgramKind.Real16;

    internal bool HasWideStack => (_segments[SegmentRegister.Ss].Attributes & Big) != 0;

    /// <summary>General registers that there are.</summary>
    internal int RegisterCount => IsLong ? 16 : 8;

    /// <summary>The hidden part of a segment register.</summary>
    internal Segment this[int register] => _segments[register];

    /// <summary>Base of a segment register that matters for where data and code are.</summary>
    internal ulong BaseOf(int register) => IsLong ? 0 : _segments[register].Base;

    private void SetBase(int register, ulong address, int reach, Random random)
    {
        int distance = random.Next(4) switch
        {
            0 => 0,
            1 => random.Next(reach) & ~0xFFF,
            2 => random.Next(reach) & ~0xF,
            _ => random.Next(reach),
        };
        _segments[register].Base = address - (ulong)distance;
    }

    // Limits that end on the last page, or soon behind, or far away.
    private void SetLimits(Random random)
    {
        SetLimit(SegmentRegister.Cs, CodeAddress + (CodePages * PageBytes), random);
        SetLimit(SegmentRegister.Ds, FirstData + DataBytes, random);
    }

    // Long segments have whole pages.
    private void SetLimit(int register, ulong end, Random random)
    {
        if (random.Next(2) == 0)
        {
            uint limit = (uint)(end - _segments[register].Base) - 1 - (uint)random.Next(64);
            _segments[register].Limit = limit > SmallLimitMax ? limit | (PageBytes - 1) : limit;
        }
    }
}
