using System;
using Hypervisor.Backends.Block;

namespace Hypervisor.Devices.Virtio;

/// <summary>One request of a virtio disk, from its chain to its completion. Reused.</summary>
internal sealed class VirtioBlkRequest : IPostedWork
{
    private readonly VirtioBlk _owner;
    private readonly IEventLoop _eventLoop;
    private readonly IBlockDevice _disk;

    public VirtioBlkRequest(VirtioBlk owner, IBlockDevice disk, IEventLoop eventLoop)
    {
        _owner = owner;
        _disk = disk;
        _eventLoop = eventLoop;
        Block = new BlockRequest(OnCompleted);
    }

    /// <summary>The guest's buffers.</summary>
    public VirtqueueChain Chain { get; } = new();

    /// <summary>What goes to the disk.</summary>
    public BlockRequest Block { get; }

    /// <summary>Queue that it came from and that it returns to.</summary>
    public int QueueIndex { get; set; }

    /// <summary>Place in the order of submission.</summary>
    public ulong Sequence { get; set; }

    /// <summary>Where its buffer is in the arena.</summary>
    public int FirstGranule { get; set; }

    /// <summary>Size of its buffer.</summary>
    public int BufferBytes { get; set; }

    /// <summary>Whether data goes to the guest at the end.</summary>
    public bool IsRead { get; set; }

    /// <summary>Whether the device was reset or loaded meanwhile: the completion concerns nobody.</summary>
    public bool IsAbandoned { get; set; }

    /// <summary>Neighbours in the list of requests in flight, or in the list of free ones.</summary>
    public VirtioBlkRequest? Previous { get; set; }

    /// <summary>See <see cref="Previous"/>.</summary>
    public VirtioBlkRequest? Next { get; set; }

    /// <summary>Whether a flush must follow before the guest hears of success. Set by the bus lock's holder before
    /// submission, used by the completing thread after it.</summary>
    public bool IsFlushDue { get; set; }

    /// <summary>Hands the request to the disk.</summary>
    public void Submit() => _disk.Submit(Block);

    /// <inheritdoc/>
    public void RunPosted() => _owner.OnRequestCompleted(this);

    // Any thread, no lock held.
    private void OnCompleted(BlockRequest block)
    {
        if (IsFlushDue && block.Status == BlockStatus.Ok)
        {
            IsFlushDue = false;
            block.Operation = BlockOperation.Flush;
            block.OffsetBytes = 0;
            block.LengthBytes = 0;
            block.Buffer = Memory<byte>.Empty;
            _disk.Submit(block);
            return;
        }

        _eventLoop.Post(this);
    }
}
