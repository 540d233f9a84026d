namespace Hypervisor.Replication.Failover;

/// <summary>How the last planned switch-over that was asked for at this side stands.</summary>
/// <param name="Asked">How many were asked for here so far.</param>
/// <param name="IsUnderWay">Whether one is, wherever it was asked for.</param>
/// <param name="Error">Why the last one came to nothing; empty while that is not known.</param>
public readonly record struct SwitchOverStatus(long Asked, bool IsUnderWay, string Error);
