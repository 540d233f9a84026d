using System.Collections.Generic;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>The address space of a random program, the same on the host and on the emulated CPU.</summary>
/// <remarks>
/// <code>
/// 2000 0000  code: pages 0-3 readable, writable, executable; 4 read-only, executable; 5 absent
/// 2010 0000  exit: UD2, where a program ends that does not end by a fault
/// 3000 0000  data: page 0 absent, 1-4 writable, 5 absent, 6 read-only, 7 absent
/// 3001 0000  stack: page 0 absent, 1-3 writable, 4 absent
/// </code>
/// Neighbours in the address space are not neighbours in memory, so that what crosses a page must be split.
/// The shared file has the control words and the record of <see cref="OracleLayout"/>, then the stored pages.
/// </remarks>
internal static class ProgramLayout
{
    internal const int PageBytes = OracleLayout.PageBytes;
    internal const ulong CodeAddress = 0x2000_0000;
    internal const ulong ExitAddress = 0x2010_0000;
    internal const ulong DataAddress = 0x3000_0000;
    internal const ulong StackAddress = 0x3001_0000;

    internal const int CodePages = 5;
    internal const int WritableCodeBytes = 4 * PageBytes;
    internal const ulong FirstData = DataAddress + PageBytes;
    internal const int DataBytes = 4 * PageBytes;
    internal const ulong ReadOnlyData = DataAddress + (6 * PageBytes);
    internal const ulong AbsentData = DataAddress + (5 * PageBytes);
    internal const ulong StackTop = StackAddress + (4 * PageBytes);

    /// <summary>The start of the data: counters and jump tables, which random stores leave alone.</summary>
    internal const int KeptBytes = 0x200;

    internal const int RecordAt = 0x1000;
    internal const int ImageAt = 0x1_0000;
    internal const int StoredPages = 14;
    internal const int ImageBytes = StoredPages * PageBytes;
    internal const int FileBytes = ImageAt + ImageBytes;

    /// <summary>Part of a record: the signal that ended the program.</summary>
    internal const int Signal = 168;

    // Control words: whether the program is of 16 or 32 bits, its segments as modify_ldt takes them, a frame for IRET.
    internal const int IsLegacy = 0x200;
    internal const int Segments = 0x210;
    internal const int SegmentBytes = 16;
    internal const int SegmentCount = 6;
    internal const int Frame = 0x280;

    /// <summary>All pages that are present.</summary>
    internal static readonly IReadOnlyList<ProgramPage> Pages =
    [
        Code(0, 1, true), Code(1, 3, true), Code(2, 0, true), Code(3, 2, true), Code(4, 4, false),
        new(ExitAddress, 13, IsWritable: false, IsExecutable: true),
        Data(1, 6, true), Data(2, 5, true), Data(3, 8, true), Data(4, 7, true), Data(6, 9, false),
        Stack(1, 12), Stack(2, 10), Stack(3, 11),
    ];

    /// <summary>Where in the image the byte at <paramref name="linear"/> is; it must be present.</summary>
    internal static int ImageOffset(ulong linear)
    {
        foreach (ProgramPage page in Pages)
        {
            if (linear - page.Linear < PageBytes)
            {
                return (page.Stored * PageBytes) + (int)(linear - page.Linear);
            }
        }

        throw new System.ArgumentOutOfRangeException(nameof(linear));
    }

    /// <summary>The linear address of a byte of the image.</summary>
    internal static ulong LinearAddress(int imageOffset)
    {
        foreach (ProgramPage page in Pages)
        {
            if (page.Stored == imageOffset / PageBytes)
            {
                return page.Linear + (ulong)(imageOffset % PageBytes);
            }
        }

        throw new System.ArgumentOutOfRangeException(nameof(imageOffset));
    }

    private static ProgramPage Code(int page, int stored, bool isWritable)
        => new(CodeAddress + (ulong)(page * PageBytes), stored, isWritable, IsExecutable: true);

    private static ProgramPage Data(int page, int stored, bool isWritable)
        => new(DataAddress + (ulong)(page * PageBytes), stored, isWritable, IsExecutable: false);

    private static ProgramPage Stack(int page, int stored)
        => new(StackAddress + (ulong)(page * PageBytes), stored, IsWritable: true, IsExecutable: false);
}
