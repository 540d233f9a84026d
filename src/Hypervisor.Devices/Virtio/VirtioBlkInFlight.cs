using System;
using System.Collections.Generic;
using Hypervisor.Backends.Block;
using Hypervisor.Core.State;

namespace Hypervisor.Devices.Virtio;

/// <summary>The requests of a virtio disk that are not completed, in the order of their submission.</summary>
/// <remarks>In a section: how many u32, then for each: queue u16, head u16, sequence u64.</remarks>
internal sealed class VirtioBlkInFlight(VirtioBlk owner, IBlockDevice disk, IEventLoop eventLoop, int countMax)
{
    /// <summary>Memory that a disk's requests in flight may hold. Two of the largest requests.</summary>
    public const int ArenaBytes = 16 << 20;

    private readonly BufferArena _arena = new(ArenaBytes);
    private readonly List<(ushort Queue, ushort Head, ulong Sequence)> _loaded = [];
    private readonly List<int> _stalledQueues = [];
    private VirtioBlkRequest? _first, _last;
    private VirtioBlkRequest? _free;

    /// <summary>Requests in flight.</summary>
    public int Count { get; private set; }

    /// <summary>Whether a queue waits for room.</summary>
    public bool IsStalled => _stalledQueues.Count != 0;

    /// <summary>A request that is not in flight yet.</summary>
    public VirtioBlkRequest Rent()
    {
        VirtioBlkRequest request = _free ?? new VirtioBlkRequest(owner, disk, eventLoop);
        _free = request.Next;
        request.Next = null;
        return request;
    }

    /// <summary>Gives a request back that is in flight no more.</summary>
    public void Return(VirtioBlkRequest request)
    {
        _arena.Return(request.FirstGranule, request.BufferBytes);
        request.BufferBytes = 0;
        request.Block.Buffer = default;
        request.IsAbandoned = false;
        request.Next = _free;
        _free = request;
    }

    /// <summary>Gets a buffer for a request. False when there is no room now.</summary>
    public bool TryRentBuffer(VirtioBlkRequest request, int lengthBytes)
    {
        if (Count >= countMax || !_arena.TryRent(lengthBytes, out Memory<byte> buffer, out int first))
        {
            return false;
        }

        request.FirstGranule = first;
        request.BufferBytes = lengthBytes;
        request.Block.Buffer = buffer;
        return true;
    }

    /// <summary>Notes a queue whose next request found no room; it has the next turn.</summary>
    public void StallFirst(int queue) => _stalledQueues.Insert(0, queue);

    /// <summary>Notes a queue that waits behind stalled ones.</summary>
    public void StallLast(int queue)
    {
        if (!_stalledQueues.Contains(queue))
        {
            _stalledQueues.Add(queue);
        }
    }

    /// <summary>Takes the queue that waits longest.</summary>
    public bool TryTakeStalled(out int queue)
    {
        queue = IsStalled ? _stalledQueues[0] : -1;
        if (queue >= 0)
        {
            _stalledQueues.RemoveAt(0);
        }

        return queue >= 0;
    }

    /// <summary>Appends a request that is about to be submitted.</summary>
    public void Add(VirtioBlkRequest request)
    {
        request.Previous = _last;
        request.Next = null;
        _first ??= request;
        if (_last is not null)
        {
            _last.Next = request;
        }

        _last = request;
        Count++;
    }

    /// <summary>Takes a request out of the list.</summary>
    public void Remove(VirtioBlkRequest request)
    {
        if (request.Previous is null)
        {
            _first = request.Next;
        }
        else
        {
            request.Previous.Next = request.Next;
        }

        if (request.Next is null)
        {
            _last = request.Previous;
        }
        else
        {
            request.Next.Previous = request.Previous;
        }

        request.Previous = null;
        request.Next = null;
        Count--;
    }

    /// <summary>Disowns the requests of one queue, or of all (-1); the disk still completes them, to nobody.</summary>
    public void Abandon(int queue)
    {
        VirtioBlkRequest? next;
        for (VirtioBlkRequest? request = _first; request is not null; request = next)
        {
            next = request.Next;
            if (queue < 0 || request.QueueIndex == queue)
            {
                Remove(request);
                request.IsAbandoned = true;
            }
        }

        _loaded.RemoveAll(entry => queue < 0 || entry.Queue == queue);
        _stalledQueues.RemoveAll(stalled => queue < 0 || stalled == queue);
    }

    /// <summary>Takes the requests that a section held, oldest first, to issue them again.</summary>
    public (ushort Queue, ushort Head, ulong Sequence)[] TakeLoaded()
    {
        (ushort, ushort, ulong)[] loaded = [.. _loaded];
        _loaded.Clear();
        return loaded;
    }

    /// <summary>Moves the list through the disk's section.</summary>
    /// <exception cref="StateFormatException">Too many, a missing queue, or sequences out of order.</exception>
    public void TransferRequests(ref StateCodec state, int queueCount)
    {
        if (state.IsSaving)
        {
            Save(ref state);
            return;
        }

        Abandon(-1);
        int count = 0;
        state.Count(ref count, countMax);
        for (int i = 0; i < count; i++)
        {
            (ushort Queue, ushort Head, ulong Sequence) entry = default;
            state.U16(ref entry.Queue);
            state.U16(ref entry.Head);
            state.U64(ref entry.Sequence);
            if (entry.Queue >= queueCount || (i != 0 && entry.Sequence <= _loaded[i - 1].Sequence))
            {
                throw new StateFormatException(
                    $"request {i} in flight has queue {entry.Queue} of {queueCount} and sequence {entry.Sequence}");
            }

            _loaded.Add(entry);
        }
    }

    // A machine that is saved again before it ran still holds what it loaded.
    private void Save(ref StateCodec state)
    {
        int count = Count + _loaded.Count;
        state.Count(ref count, countMax);
        foreach ((ushort queue, ushort head, ulong sequence) in _loaded)
        {
            SaveOne(ref state, queue, head, sequence);
        }

        for (VirtioBlkRequest? request = _first; request is not null; request = request.Next)
        {
            SaveOne(ref state, (ushort)request.QueueIndex, request.Chain.Head, request.Sequence);
        }
    }

    private static void SaveOne(ref StateCodec state, ushort queue, ushort head, ulong sequence)
    {
        state.U16(ref queue);
        state.U16(ref head);
        state.U64(ref sequence);
    }
}
