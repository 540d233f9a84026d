namespace Hypervisor.Backends.Block;

/// <summary>How a block request ended. Maps one to one to virtio-blk status and to NBD error numbers.</summary>
public enum BlockStatus
{
    /// <summary>Done.</summary>
    Ok,

    /// <summary>The range is not inside the device.</summary>
    OutOfRange,

    /// <summary>The device is read-only.</summary>
    ReadOnly,

    /// <summary>The device does not do this operation.</summary>
    Unsupported,

    /// <summary>The host failed the request; the cause is in the log.</summary>
    IoError,
}
