using System.Runtime.InteropServices;

namespace Hypervisor.Cpu.Paging;

/// <summary>One entry of a software TLB; generated code indexes arrays of it.</summary>
/// <remarks>
/// A tag is the linear address of the page, or <see cref="NoMatch"/>. An access looks at the entry of its first byte
/// and compares the tag with the page of its last byte, so one that crosses a page misses by itself. The write tag is
/// armed only while a store needs no bookkeeping: page state exactly Dirty, PTE dirty and writable.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
public struct TlbEntry
{
    /// <summary>Matches nothing: not page-aligned.</summary>
    public const ulong NoMatch = ulong.MaxValue;

    /// <summary>Page that may be read through <see cref="Addend"/>.</summary>
    public ulong ReadTag;

    /// <summary>Page that may be stored to through <see cref="Addend"/>.</summary>
    public ulong WriteTag;

    /// <summary>Page that instructions may be fetched from through <see cref="Addend"/>.</summary>
    public ulong ExecuteTag;

    /// <summary>Host address minus linear address.</summary>
    public ulong Addend;
}
