using System.Runtime.InteropServices;

namespace Hypervisor.Cpu.Decode;

/// <summary>
/// Decoded instructions that run one after the other, all from one page. The operations follow the header.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Block
{
    /// <summary>What <see cref="BlockCache"/> finds it by: host address of the first byte and code mode.</summary>
    internal ulong Key;

    /// <summary>The next block of the same page.</summary>
    internal Block* NextInPage;

    /// <summary>The first operation.</summary>
    internal Operation* Operations;

    /// <summary>64-byte lines of the page that its instructions lie in.</summary>
    internal ulong Lines;

    /// <summary>How many operations, at least 1.</summary>
    internal int Count;

    /// <summary>How often a translator found it and left it to the interpreter.</summary>
    internal int Hits;
}
