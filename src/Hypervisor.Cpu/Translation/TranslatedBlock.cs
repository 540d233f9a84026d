using System.Runtime.InteropServices;

namespace Hypervisor.Cpu.Translation;

/// <summary>A piece of guest code that was translated: up to some dozens of instructions of one page, entered at its
/// first.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct TranslatedBlock
{
    /// <summary>No link.</summary>
    internal const int NoLink = -1;

    /// <summary>Host address of the first guest byte, and above it the variant.</summary>
    internal ulong Key;

    /// <summary>64-byte lines of the page that its instructions lie in.</summary>
    internal ulong Lines;

    /// <summary>Number of the page in RAM that it starts on.</summary>
    internal long Page;

    /// <summary>The next block of the same page.</summary>
    internal TranslatedBlock* NextInPage;

    /// <summary>The block of the same page before it; null: it is the first.</summary>
    internal TranslatedBlock* PreviousInPage;

    /// <summary>The block before it in its segment of the cache.</summary>
    internal TranslatedBlock* NextInSegment;

    /// <summary>The next block whose last instruction reaches into the same following page.</summary>
    internal TranslatedBlock* NextCrossing;

    /// <summary>Number of that page.</summary>
    internal long CrossedPage;

    /// <summary>Entry with the linear address in R9 and RCX saved.</summary>
    internal byte* Indirect;

    /// <summary>Entry from the same page that looks for events: backward jumps.</summary>
    internal byte* Poll;

    /// <summary>Entry from the same page.</summary>
    internal byte* Direct;

    /// <summary>Where <see cref="Indirect"/> leads once the block is dropped.</summary>
    internal byte* Stale;

    /// <summary>First of the links that jump here.</summary>
    internal int FirstLink;

    /// <summary>Guest instructions in it.</summary>
    internal int InstructionCount;

    /// <summary>Nobody comes in any more.</summary>
    internal bool IsDropped;

    /// <summary>Whether it is in the list of <see cref="CrossedPage"/>.</summary>
    internal bool IsCrossing;
}

/// <summary>A direct jump out of a block.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct BlockLink
{
    /// <summary>Where the jump's displacement is written.</summary>
    internal byte* Hole;

    /// <summary>Where it goes while it is not linked.</summary>
    internal byte* Stub;

    /// <summary>The block that it goes to now; null: none.</summary>
    internal TranslatedBlock* Target;

    /// <summary>The next link to the same block.</summary>
    internal int Next;

    /// <summary>The link to the same block before it.</summary>
    internal int Previous;

    /// <summary>Whether it may be part of a loop, and so must look for events.</summary>
    internal bool IsBackward;

    /// <summary>Whether it goes to a block that checks each access alone.</summary>
    internal bool IsCareful;

    /// <summary>Whether it is where a call returns to, in the return cache: it enters like an indirect jump.</summary>
    internal bool IsReturn;

    /// <summary>Its <see cref="FarLink"/>; negative: it stays on its page.</summary>
    internal int Far;
}

/// <summary>Where the code of a <see cref="FarLink"/> is.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FarLinkCode
{
    /// <summary>Where the displacement of the jump is that is taken when it must be looked up.</summary>
    internal byte* Hole;

    /// <summary>Where that goes before it is linked.</summary>
    internal byte* Unlinked;

    /// <summary>Where it goes once it is linked.</summary>
    internal byte* Forgotten;
}
