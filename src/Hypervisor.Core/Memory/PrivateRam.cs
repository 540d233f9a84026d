using System;
using Hypervisor.Core.Host;

namespace Hypervisor.Core.Memory;

/// <summary>
/// Page-sized slots of private memory outside the collector's heap. The host backs a slot once it is written.
/// </summary>
/// <remarks>Whoever shares it between threads says who may touch which slot when; the class does not.</remarks>
public sealed unsafe class PrivateRam : IDisposable
{
    private readonly byte* _base;

    /// <summary>Maps <paramref name="pageCount"/> zeroed pages.</summary>
    /// <exception cref="HostException">The host has not that much address space.</exception>
    public PrivateRam(long pageCount)
    {
        Check.That(pageCount > 0);
        PageCount = pageCount;
        _base = HostMemory.MapPrivateMemory(pageCount * PageKernels.PageBytes);
    }

    /// <summary>Number of 4 KiB pages.</summary>
    public long PageCount { get; }

    /// <summary>The bytes of one page.</summary>
    public Span<byte> Page(long page)
    {
        Check.That((ulong)page < (ulong)PageCount);
        return new Span<byte>(_base + (page * PageKernels.PageBytes), PageKernels.PageBytes);
    }

    /// <summary>Gives pages back to the host: they are zero.</summary>
    public void Discard(long page, long count)
    {
        Check.That(page >= 0 && count > 0 && count <= PageCount - page);
        if (!HostMemory.TryReleasePrivate(_base + (page * PageKernels.PageBytes), count * PageKernels.PageBytes))
        {
            for (; count > 0; count--, page++)
            {
                Page(page).Clear();
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => HostMemory.Unmap(_base, PageCount * PageKernels.PageBytes);
}
