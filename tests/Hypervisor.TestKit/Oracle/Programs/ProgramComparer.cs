using System;
using System.Collections.Generic;
using Iced.Intel;
using static Hypervisor.TestKit.Oracle.OracleLayout;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>Lists where the ends of a program on two CPUs differ.</summary>
internal static unsafe class ProgramComparer
{
    private const ulong ComparedFlags = 0xDD5; // arithmetic, TF, DF
    private const int PageFault = 14;
    private const int BytesShown = 16;

    private static readonly string[] s_registerNames =
    [
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
    ];

    /// <summary>Compares two parts of records, with the exceptions that ended the program.</summary>
    internal static void CompareStates(
        byte* expected, EmulatedResult expectedEnd, byte* actual, EmulatedResult actualEnd, RflagsBits undefined,
        bool comparesWide, List<string> differences)
    {
        Check("exception", (ulong)expectedEnd.Vector, (ulong)actualEnd.Vector, differences);
        Check("rip", *(ulong*)(expected + Rip), *(ulong*)(actual + Rip), differences);
        if (expectedEnd.Vector == actualEnd.Vector)
        {
            // The kernel's half is present on the host and absent here; our tables are present here.
            bool isOurs = expectedEnd.Vector == PageFault && expectedEnd.Address < EmulatedProgramCpu.TablesEnd;
            bool isNatives = expectedEnd.Vector == PageFault && IsNativeOnly(expectedEnd.Address); // a jump there
            if (expectedEnd.Vector is 12 or 13 or PageFault && (long)expectedEnd.Address >= 0 && !isOurs && !isNatives)
            {
                Check("error code", expectedEnd.ErrorCode, actualEnd.ErrorCode, differences);
            }

            Check("cr2", expectedEnd.Address, actualEnd.Address, differences);
        }

        for (int i = 0; i < 16; i++)
        {
            Check(s_registerNames[i], ((ulong*)expected)[i], ((ulong*)actual)[i], differences);
        }

        ulong mask = ComparedFlags & ~Bits(undefined);
        Check("flags", *(ulong*)(expected + Flags) & mask, *(ulong*)(actual + Flags) & mask, differences);
        CompareExtended(expected + Extended, actual + Extended, differences);
        if (comparesWide)
        {
            WideRegisters.Compare(expected, actual, 0, (name, left, right, bytes)
                => CheckBytes(name, left, right, bytes, differences));
        }
    }

    /// <summary>Compares two images of a program's memory.</summary>
    internal static void CompareImages(
        ReadOnlySpan<byte> expected, ReadOnlySpan<byte> actual, List<string> differences)
    {
        int at = expected.CommonPrefixLength(actual);
        if (at < expected.Length)
        {
            int count = Math.Min(BytesShown, expected.Length - at);
            differences.Add($"memory at {ProgramLayout.LinearAddress(at):X}: "
                + $"expected {Convert.ToHexString(expected.Slice(at, count))}, "
                + $"ours {Convert.ToHexString(actual.Slice(at, count))}");
        }
    }

    private static void CompareExtended(byte* expected, byte* actual, List<string> differences)
    {
        Expand(expected);
        Check("fcw", *(ushort*)expected, *(ushort*)actual, differences);
        Check("fsw", *(ushort*)(expected + 2), *(ushort*)(actual + 2), differences);
        Check("ftw", expected[4], actual[4], differences);
        Check("mxcsr", *(uint*)(expected + 24), *(uint*)(actual + 24), differences);
        for (int i = 0; i < 8; i++)
        {
            CheckBytes($"st{i}", expected + 32 + (16 * i), actual + 32 + (16 * i), 10, differences);
        }

        for (int i = 0; i < 16; i++)
        {
            CheckBytes($"xmm{i}", expected + 160 + (16 * i), actual + 160 + (16 * i), 16, differences);
            CheckBytes($"ymm{i} high", expected + 576 + (16 * i), actual + 576 + (16 * i), 16, differences);
        }
    }

    // A component in its initial configuration is not stored.
    private static void Expand(byte* area)
    {
        ulong stored = *(ulong*)(area + 512);
        if ((stored & 1) == 0)
        {
            new Span<byte>(area, 24).Clear();
            new Span<byte>(area + 32, 128).Clear();
            *(ushort*)area = 0x37F;
        }

        if ((stored & 2) == 0)
        {
            new Span<byte>(area + 160, 256).Clear();
        }

        if ((stored & 4) == 0)
        {
            new Span<byte>(area + 576, 256).Clear();
        }
    }

    private static ulong Bits(RflagsBits bits)
        => ((bits & RflagsBits.CF) != 0 ? 1ul : 0) | ((bits & RflagsBits.PF) != 0 ? 4ul : 0)
            | ((bits & RflagsBits.AF) != 0 ? 0x10ul : 0) | ((bits & RflagsBits.ZF) != 0 ? 0x40ul : 0)
            | ((bits & RflagsBits.SF) != 0 ? 0x80ul : 0) | ((bits & RflagsBits.OF) != 0 ? 0x800ul : 0);

    private static void Check(string name, ulong expected, ulong actual, List<string> differences)
    {
        if (expected != actual)
        {
            differences.Add($"{name}: expected {expected:X}, ours {actual:X}");
        }
    }

    private static void CheckBytes(string name, byte* expected, byte* actual, int count, List<string> differences)
    {
        var left = new ReadOnlySpan<byte>(expected, count);
        var right = new ReadOnlySpan<byte>(actual, count);
        if (!left.SequenceEqual(right))
        {
            differences.Add($"{name}: expected {Convert.ToHexString(left)}, ours {Convert.ToHexString(right)}");
        }
    }
}
