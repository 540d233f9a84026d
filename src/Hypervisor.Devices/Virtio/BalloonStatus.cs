namespace Hypervisor.Devices.Virtio;

/// <summary>Where a balloon stands.</summary>
/// <param name="TargetBytes">What the guest was asked to give.</param>
/// <param name="ActualBytes">What it says that it gave.</param>
/// <param name="FreeBytes">What the guest says is free, of what is left to it; null: it did not say.</param>
/// <param name="AvailableBytes">What it could have without swapping; null: it did not say.</param>
public readonly record struct BalloonStatus(long TargetBytes, long ActualBytes, long? FreeBytes, long? AvailableBytes);
