using System.Diagnostics.CodeAnalysis;
using Hypervisor.Core;

namespace Hypervisor.Backends.Block.Images;

/// <summary>Lets requests run side by side unless they overlap; those keep the order of their submission.</summary>
/// <remarks>
/// Two reads never wait for each other. A flush has no range and never waits: what it must cover completed before it
/// was submitted. Every call with the owner's lock held. Costs a walk over the requests in the gate, which its owner
/// bounds.
/// </remarks>
internal sealed class OverlapGate(long granuleBytes)
{
    private Entry? _first, _last;           // every request inside, in submission order
    private Entry? _firstReady, _lastReady; // those that may run and were not taken yet
    private Entry? _free;

    /// <summary>Requests inside: waiting, ready, or running.</summary>
    public int Count { get; private set; }

    /// <summary>Adds a request. True when it is ready at once.</summary>
    public bool Add(BlockRequest request)
    {
        Entry entry = Allocate(request);
        for (Entry? earlier = _first; earlier is not null; earlier = earlier.Next)
        {
            entry.BlockedByCount += Conflicts(earlier, entry) ? 1 : 0;
        }

        entry.Previous = _last;
        _first ??= entry;
        if (_last is not null)
        {
            _last.Next = entry;
        }

        _last = entry;
        Count++;
        if (entry.BlockedByCount != 0)
        {
            return false;
        }

        AppendReady(entry);
        return true;
    }

    /// <summary>
    /// Takes the oldest request that may run. The taker gives it to <see cref="Remove"/> when it is done.
    /// </summary>
    public bool TryTake([NotNullWhen(true)] out Entry? entry)
    {
        entry = _firstReady;
        if (entry is null)
        {
            return false;
        }

        _firstReady = entry.NextReady;
        _lastReady = _firstReady is null ? null : _lastReady;
        entry.NextReady = null;
        return true;
    }

    /// <summary>Ends a request that was taken.</summary>
    /// <returns>How many others became ready by it.</returns>
    public int Remove(Entry entry)
    {
        int readied = 0;
        for (Entry? later = entry.Next; later is not null; later = later.Next)
        {
            if (Conflicts(entry, later) && --later.BlockedByCount == 0)
            {
                AppendReady(later);
                readied++;
            }
        }

        if (entry.Previous is null)
        {
            _first = entry.Next;
        }
        else
        {
            entry.Previous.Next = entry.Next;
        }

        if (entry.Next is null)
        {
            _last = entry.Previous;
        }
        else
        {
            entry.Next.Previous = entry.Previous;
        }

        Count--;
        entry.Request = null;
        entry.Previous = null;
        entry.Next = _free;
        _free = entry;
        return readied;
    }

    private static bool Conflicts(Entry earlier, Entry later)
        => (earlier.IsChange || later.IsChange)
            && earlier.FirstGranule < later.EndGranule
            && later.FirstGranule < earlier.EndGranule;

    private Entry Allocate(BlockRequest request)
    {
        Entry entry = _free ?? new Entry();
        _free = entry.Next;
        entry.Next = null;
        entry.Request = request;
        entry.BlockedByCount = 0;
        entry.IsChange = request.Operation is not (BlockOperation.Read or BlockOperation.Flush);
        Check.That(request.OffsetBytes >= 0);
        Check.That(request.LengthBytes <= long.MaxValue - granuleBytes - request.OffsetBytes);

        // A change of size overlaps everything, wherever it is.
        if (request.Operation == BlockOperation.Resize)
        {
            (entry.FirstGranule, entry.EndGranule) = (0, long.MaxValue);
            return entry;
        }

        // A flush gets the empty range, which overlaps nothing.
        bool isFlush = request.Operation == BlockOperation.Flush;
        entry.FirstGranule = isFlush ? 0 : request.OffsetBytes / granuleBytes;
        entry.EndGranule = isFlush ? 0 : (request.OffsetBytes + request.LengthBytes + granuleBytes - 1) / granuleBytes;
        return entry;
    }

    private void AppendReady(Entry entry)
    {
        _firstReady ??= entry;
        if (_lastReady is not null)
        {
            _lastReady.NextReady = entry;
        }

        _lastReady = entry;
    }

    /// <summary>One request in the gate.</summary>
    internal sealed class Entry
    {
        /// <summary>The request; null while the entry is free.</summary>
        public BlockRequest? Request { get; set; }

        internal Entry? Previous { get; set; }

        internal Entry? Next { get; set; }

        internal Entry? NextReady { get; set; }

        internal long FirstGranule { get; set; }

        internal long EndGranule { get; set; }

        internal bool IsChange { get; set; }

        internal int BlockedByCount { get; set; }
    }
}
