using System;
using System.Threading;
using Hypervisor.Core;
using Hypervisor.Core.Memory;
using Hypervisor.Replication.Link;

namespace Hypervisor.Replication.Capture;

/// <summary>Copies guest RAM to the standby: once while the guest runs, then what each epoch changed.</summary>
/// <remarks>
/// At a cut the dirty pages become <see cref="PageState.CopyPending"/> and the guest goes on. Each of them is copied
/// once, by whoever claims it with a compare-and-swap to <see cref="PageState.Copying"/>: the copier in the order
/// of its
/// list, or a thread that wants to store to the page, which puts it into the staging area first. So every page leaves
/// with the content of the cut, and the pause does not grow with the number of pages (rules 10 and 16).
/// <para>
/// Threads: <see cref="Cut"/> and <see cref="BeginRound"/> with the machine paused; the Copy methods on the copier's
/// thread; <see cref="BeforeWrite"/> on any storing thread; <see cref="Abort"/> on any thread.
/// </para>
/// </remarks>
internal sealed class RamCopier : IPageWatcher, IDisposable
{
    private const int StagedPagesMax = 1024; // 4 MiB: what two vCPUs can touch while the copier is held up briefly

    private readonly GuestRam _ram;
    private readonly RamReplica _replica;
    private readonly PrivateRam _still = new(pageCount: 1);
    private readonly PageStaging _staging = new(StagedPagesMax);
    private readonly RamDeltaWriter _writer;
    private readonly int[] _pages;
    private int _listed;
    private volatile bool _isAborted; // set before the flags are cleared; read by storing threads

    /// <summary>Creates the copier; the machine is paused, no page is pending.</summary>
    /// <param name="ram">The guest's RAM.</param>
    /// <param name="replica">What the standby has of it.</param>
    /// <param name="pool">Chunks for the records; breaking it ends a copy.</param>
    /// <param name="send">Takes filled chunks, in order, on the copier's thread.</param>
    public RamCopier(GuestRam ram, RamReplica replica, ChunkPool pool, Action<Chunk> send)
    {
        _ram = ram;
        _replica = replica;
        _writer = new RamDeltaWriter(replica.Shadow, replica.Digest, pool, send);
        _pages = new int[ram.PageCount];
        ram.WatchCopies(this);
    }

    /// <summary>Counts of what was sent.</summary>
    public RamDeltaWriter Writer => _writer;

    /// <summary>Pages of the last cut or round.</summary>
    public int ListedPages => _listed;

    /// <summary>Pages that changed after a stamp; null: all of them.</summary>
    public long CountChanged(ulong? after) => _replica.CountPages(after);

    /// <summary>At a cut, paused: lists the dirty pages and makes them copy-pending. Returns how many.</summary>
    public int Cut() => _listed = DirtyScan.Harvest(_ram, _pages, PageState.CopyPending);

    /// <summary>Between two rounds of the full copy, paused: lists the dirty pages and makes them clean.</summary>
    public int BeginRound() => _listed = DirtyScan.Harvest(_ram, _pages, PageState.Clean);

    /// <summary>
    /// Stamps the pages of the last <see cref="Cut"/> or <see cref="BeginRound"/>, whatever becomes of them. Before
    /// they are copied, and outside of the pause.
    /// </summary>
    public void StampListed(ulong stamp) => _replica.Stamp(_pages.AsSpan(0, _listed), stamp);

    /// <summary>Copies the pages of the last <see cref="Cut"/>. False when the pool broke: then abort.</summary>
    public bool CopyCut()
    {
        int copied = 0;
        for (int i = 0; i < _listed; i++)
        {
            // Staged pages first: a storing thread may wait for the slot.
            if (!TryDrainStaging(ref copied) || !_writer.TryReserve())
            {
                return false;
            }

            int page = _pages[i];
            if (TryClaim(page))
            {
                _writer.Write(page, PageBytes(page));
                _ram.ClearFlags(page, PageState.Copying);
                copied++;
            }
        }

        // What is missing was claimed by storing threads that have not published it yet.
        SpinWait spin = default;
        while (copied < _listed)
        {
            spin.SpinOnce();
            if (_isAborted || !TryDrainStaging(ref copied))
            {
                return false;
            }
        }

        _writer.Flush();
        return true;
    }

    /// <summary>
    /// First pass of the full copy, while the guest runs: every page that changed after a stamp. False when the
    /// pool broke.
    /// </summary>
    /// <param name="after">The stamp; null: every page.</param>
    /// <param name="onProgress">Told the number of pages done, now and then.</param>
    public bool CopyChanged(ulong? after, Action<long> onProgress)
    {
        const int PagesPerReport = 1024;
        long done = 0;
        for (long page = 0; page < _ram.PageCount; page++)
        {
            if (!_replica.IsChanged(page, after))
            {
                continue;
            }

            if (!_writer.TryReserve())
            {
                return false;
            }

            if (PageKernels.IsZero(PageBytes((int)page)))
            {
                _writer.WriteZero((int)page); // and if it no longer is: it is dirty for the next round
            }
            else
            {
                _writer.WriteFresh((int)page, StillBytes(page));
            }

            if (++done % PagesPerReport == 0)
            {
                onProgress(done);
            }
        }

        _writer.Flush();
        onProgress(done);
        return true;
    }

    /// <summary>
    /// A later round of the full copy: the pages of the last <see cref="BeginRound"/>. False when the pool broke.
    /// </summary>
    public bool CopyRound()
    {
        for (int i = 0; i < _listed; i++)
        {
            if (!_writer.TryReserve())
            {
                return false;
            }

            _writer.Write(_pages[i], StillBytes(_pages[i]));
        }

        _writer.Flush();
        return true;
    }

    /// <inheritdoc/>
    public void BeforeWrite(long ramOffset, int lengthBytes)
    {
        int page = (int)(ramOffset / PageKernels.PageBytes);
        SpinWait spin = default;
        while (true)
        {
            var state = (PageState)Volatile.Read(ref _ram.StateBytes[page]); // pairs with ClearFlags of the claimer
            if ((state & (PageState.CopyPending | PageState.Copying)) == 0)
            {
                return;
            }

            if ((state & PageState.CopyPending) == 0)
            {
                spin.SpinOnce(sleep1Threshold: -1); // a claimed page is free again within microseconds
            }
            else if (_isAborted)
            {
                _ram.ClearFlags(page, PageState.CopyPending);
            }
            else if (_staging.TryTake(out int slot))
            {
                CopyAside(page, slot);
            }
            else
            {
                spin.SpinOnce(); // the copier is behind the link: this slows the guest, as it should (rule 23)
            }
        }
    }

    /// <summary>
    /// Ends protection of RAM: no page waits for its copy any more, and no thread waits for this copier.
    /// </summary>
    public void Abort()
    {
        _isAborted = true;
        for (int i = 0; i < _listed; i++)
        {
            if (((PageState)Volatile.Read(ref _ram.StateBytes[_pages[i]]) & PageState.CopyPending) != 0)
            {
                _ram.ClearFlags(_pages[i], PageState.CopyPending);
            }
        }
    }

    /// <summary>
    /// Hash of a page as of the copied cut. False when the guest's page is another one although nobody marked it: then
    /// the standby has not got it either. On the copier's thread.
    /// </summary>
    public bool TryHash(int page, out ulong hash)
    {
        ReadOnlySpan<byte> kept = _replica.Shadow.Page(page);
        hash = PageHash.Of(page, kept);
        if (PageBytes(page).SequenceEqual(kept))
        {
            return true;
        }

        // Whoever stores marks before: content that was seen changed has its mark by now.
        const PageState Marked = PageState.Dirty | PageState.CopyPending | PageState.Copying;
        return ((PageState)Volatile.Read(ref _ram.StateBytes[page]) & Marked) != 0;
    }

    /// <summary>
    /// Leaves the RAM. Paused, so that no storing thread is inside, after <see cref="Abort"/> or a
    /// finished copy, with no Copy method running.
    /// </summary>
    public void Dispose()
    {
        _ram.UnwatchCopies(this); // the next life of the pair may have put its own there
        _still.Dispose();
        _staging.Dispose();
    }

    private void CopyAside(int page, int slot)
    {
        if (TryClaim(page))
        {
            PageBytes(page).CopyTo(_staging.Slot(slot));
            _staging.Publish(slot, page);
            _ram.ClearFlags(page, PageState.Copying);
        }
        else
        {
            _staging.Free(slot);
        }
    }

    private bool TryDrainStaging(ref int copied)
    {
        while (_staging.FilledCount > 0)
        {
            if (!_writer.TryReserve())
            {
                return false;
            }

            Check.That(_staging.TryTakeFilled(out int slot, out int page));
            _writer.Write(page, _staging.Slot(slot));
            _staging.Free(slot);
            copied++;
        }

        return true;
    }

    /// <summary>
    /// Turns CopyPending into Copying. One claimer wins; pairs with the same exchange on other threads.
    /// </summary>
    private bool TryClaim(int page)
    {
        ref byte state = ref _ram.StateBytes[page];
        while (true)
        {
            byte seen = Volatile.Read(ref state);
            if (((PageState)seen & PageState.CopyPending) == 0)
            {
                return false;
            }

            byte claimed = (byte)((seen & ~(byte)PageState.CopyPending) | (byte)PageState.Copying);
            if (Interlocked.CompareExchange(ref state, claimed, seen) == seen)
            {
                return true;
            }
        }
    }

    private ReadOnlySpan<byte> PageBytes(int page) => _ram.PageBytes(page);

    /// <summary>
    /// A copy of a page that the guest may store to meanwhile: torn then, but dirty for the next round.
    /// </summary>
    private Span<byte> StillBytes(long page)
    {
        Span<byte> still = _still.Page(0);
        _ram.PageBytes(page).CopyTo(still);
        return still;
    }
}
