using System;
using System.Threading;
using Hypervisor.Core;
using Hypervisor.Core.Memory;

namespace Hypervisor.Replication.Capture;

/// <summary>Pages that storing threads copied aside because the guest could not wait for the copier.</summary>
/// <remarks>
/// Storing threads take a slot, fill it and publish it; the copier takes published slots and frees them. A full staging
/// area makes storing threads wait: it is small, and the copier empties it at the speed of the link.
/// </remarks>
internal sealed class PageStaging(int slotCount) : IDisposable
{
    private readonly Lock _lock = new(); // protects the two stacks; held for a few instructions
    private readonly PrivateRam _slots = new(slotCount);
    private readonly int[] _pages = new int[slotCount]; // page number by slot
    private readonly int[] _filled = new int[slotCount];
    private readonly int[] _free = InitialFree(slotCount);
    private int _freeCount = slotCount;
    private int _filledCount;

    /// <summary>Pages that wait for the copier. Exact only for the copier's thread, and there a lower bound.</summary>
    public int FilledCount => Volatile.Read(ref _filledCount); // pairs with the lock in Publish

    /// <summary>The bytes of a slot; its taker's alone.</summary>
    public Span<byte> Slot(int slot) => _slots.Page(slot);

    /// <summary>Takes a free slot for a page. False when there is none.</summary>
    public bool TryTake(out int slot)
    {
        lock (_lock)
        {
            slot = _freeCount > 0 ? _free[--_freeCount] : -1;
        }

        return slot >= 0;
    }

    /// <summary>Hands a filled slot to the copier.</summary>
    public void Publish(int slot, int page)
    {
        lock (_lock)
        {
            _pages[slot] = page;
            _filled[_filledCount++] = slot;
        }
    }

    /// <summary>Takes any filled slot, for the copier: the pages of a cut differ, so their order is free.</summary>
    public bool TryTakeFilled(out int slot, out int page)
    {
        lock (_lock)
        {
            slot = _filledCount > 0 ? _filled[--_filledCount] : -1;
            page = slot >= 0 ? _pages[slot] : -1;
        }

        return slot >= 0;
    }

    /// <summary>Makes a slot free again.</summary>
    public void Free(int slot)
    {
        lock (_lock)
        {
            Check.That(_freeCount < _free.Length);
            _free[_freeCount++] = slot;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _slots.Dispose();

    private static int[] InitialFree(int slotCount)
    {
        int[] free = new int[slotCount];
        for (int slot = 0; slot < slotCount; slot++)
        {
            free[slot] = slot;
        }

        return free;
    }
}
