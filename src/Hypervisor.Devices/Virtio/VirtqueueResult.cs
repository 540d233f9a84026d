namespace Hypervisor.Devices.Virtio;

/// <summary>What came of looking for the next chain.</summary>
public enum VirtqueueResult
{
    /// <summary>A chain was read.</summary>
    Chain,

    /// <summary>The driver offers nothing more.</summary>
    Empty,

    /// <summary>The ring or the chain is not what the specification allows.</summary>
    Broken,
}
