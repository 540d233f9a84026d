using System;
using Hypervisor.Cpu.Paging;

namespace Hypervisor.Cpu.Translation;

/// <summary>Where calls that are under way return to: entries by the stack pointer.</summary>
/// <remarks>
/// A call notes the address that it pushes, and the code behind it; the return that finds the stack pointer as it was
/// goes there if the address is still the same. It is small, so it stays in the host's first cache, which the
/// <see cref="JumpCache"/> of a large program does not. Only code of the call's own page is noted: wherever that page
/// is mapped, the two go together. It is forgotten with the jump cache, one table a mode.
/// </remarks>
internal static unsafe class ReturnCache
{
    /// <summary>Bits of the stack pointer that choose an entry: frames have 16 bytes and more.</summary>
    internal const ulong SlotBits = (ulong)(SlotCount - 1) << 3;

    /// <summary>Distance of the code pointers from the tags.</summary>
    internal const int CodeAt = SlotCount * sizeof(ulong);

    /// <summary>Size of a table.</summary>
    internal const int TableBytes = 2 * CodeAt;

    /// <summary>Size of all tables.</summary>
    internal const int TotalBytes = (TlbMode.User + 1) * TableBytes;

    /// <summary>What a tag and its address add up to: the tag is the complement.</summary>
    internal const long TagSum = -1;

    private const int SlotCount = 512;

    /// <summary>Forgets the returns of a mode.</summary>
    /// <remarks>
    /// The guest chooses both the slot and what is compared with its tag, so no tag is safe from it: an unused entry is
    /// one of the last address, with code that looks for its target as if nothing were known.
    /// </remarks>
    /// <param name="tables">All tables.</param>
    /// <param name="mode">TlbMode of the code.</param>
    /// <param name="unknown">Code that is jumped to with a target in R9 that is not known.</param>
    internal static void Flush(byte* tables, int mode, nint unknown)
    {
        byte* table = tables + (mode * TableBytes);
        new Span<byte>(table, CodeAt).Clear();
        new Span<nint>(table + CodeAt, SlotCount).Fill(unknown);
    }
}
