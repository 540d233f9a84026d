namespace Hypervisor.Machine;

/// <summary>The host's end of one serial line.</summary>
/// <param name="Kind">What it is; decides which of the other fields mean something.</param>
/// <param name="Target">Path of a file, or host name of a TCP peer.</param>
/// <param name="Port">TCP port.</param>
/// <param name="IsServer">Whether the TCP peer calls us, instead of we it.</param>
/// <param name="WaitsForPeer">Whether the guest starts only once the TCP peer has called.</param>
public sealed record SerialConfig(
    SerialKind Kind, string Target = "", int Port = 0, bool IsServer = false, bool WaitsForPeer = false)
{
    /// <summary>Whether it is the virtio console's instead of a COM port's; one at most.</summary>
    public bool IsVirtio { get; init; }
}
