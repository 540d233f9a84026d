using Hypervisor.Backends.Block;

namespace Hypervisor.Machine;

/// <summary>One disk of a machine.</summary>
/// <param name="Id">Name in messages and serial number in the guest (20 bytes at most); unique in the machine.</param>
/// <param name="Path">Image file.</param>
public sealed record DriveConfig(string Id, string Path)
{
    /// <summary>Bytes of a virtio-blk serial number. Spec: VIRTIO 1.2, section 5.2.6.</summary>
    public const int IdBytesMax = 20;

    /// <summary>Layout of the image file: `raw`.</summary>
    public string Format { get; init; } = "raw";

    /// <summary>How far writes and flushes reach.</summary>
    public CacheMode Cache { get; init; } = CacheMode.Writeback;

    /// <summary>Whether the guest may not write.</summary>
    public bool IsReadOnly { get; init; }
}
