namespace Hypervisor.Sessions;

/// <summary>How a guest ended.</summary>
/// <param name="Reason">One phrase, for people.</param>
/// <param name="ExitCode">What `hv` ends with: 0 after a power-off, the guest's code after a debug-exit.</param>
internal sealed record GuestEnd(string Reason, int ExitCode);
