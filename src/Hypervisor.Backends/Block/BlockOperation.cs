namespace Hypervisor.Backends.Block;

/// <summary>What a block request does.</summary>
public enum BlockOperation : byte
{
    /// <summary>Fill the buffer from the device.</summary>
    Read = 1,

    /// <summary>Store the buffer. Durable only after a later flush.</summary>
    Write = 2,

    /// <summary>Make every write that completed before this request was submitted durable.</summary>
    Flush = 3,

    /// <summary>The bytes are no longer needed; they read as anything until written.</summary>
    Discard = 4,

    /// <summary>The bytes read as zero from now on.</summary>
    WriteZeroes = 5,

    /// <summary>
    /// The device has <see cref="BlockRequest.LengthBytes"/> bytes from now on, the offset is 0: zeroes are added, or
    /// what is behind is lost. Overlaps every other request.
    /// </summary>
    Resize = 6,
}
