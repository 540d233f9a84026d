using System;

namespace Hypervisor.Backends.Block;

/// <summary>One request to a block device. Reusable: the owner sets it up again after completion.</summary>
/// <remarks>
/// The buffer belongs to the device from submission to completion and is never guest memory itself, so its bytes
/// cannot change on the way (fault-tolerance rule 15).
/// </remarks>
public sealed class BlockRequest(Action<BlockRequest> onCompleted)
{
    /// <summary>What to do.</summary>
    public BlockOperation Operation { get; set; }

    /// <summary>First byte on the device.</summary>
    public long OffsetBytes { get; set; }

    /// <summary>Bytes affected; for read and write the length of <see cref="Buffer"/>; 0 for a flush.</summary>
    public long LengthBytes { get; set; }

    /// <summary>Data of a read or write.</summary>
    public Memory<byte> Buffer { get; set; }

    /// <summary>How it ended; valid from completion on.</summary>
    public BlockStatus Status { get; private set; }

    /// <summary>Ends the request. Called once by the device, on any thread, possibly before Submit returns.</summary>
    public void Complete(BlockStatus status)
    {
        Status = status;
        onCompleted(this);
    }
}
