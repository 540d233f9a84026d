namespace Hypervisor.Devices.Virtio;

/// <summary>What a virtio balloon offers.</summary>
public sealed record VirtioBalloonOptions
{
    /// <summary>Whether a guest that runs out of memory may take pages back by itself.</summary>
    public bool DeflatesOnOutOfMemory { get; init; }

    /// <summary>Whether the guest is asked to tell which pages are free, so that they go back to the host.</summary>
    public bool ReportsFreePages { get; init; }
}
