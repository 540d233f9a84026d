namespace Hypervisor.Backends.Network;

/// <summary>A port of this host whose connections go to the guest.</summary>
/// <param name="IsTcp">TCP; else UDP.</param>
/// <param name="HostAddress">Where it listens; empty: at every address.</param>
/// <param name="HostPort">Port there.</param>
/// <param name="GuestPort">Port of the guest.</param>
public sealed record HostForward(bool IsTcp, string HostAddress, int HostPort, int GuestPort);
