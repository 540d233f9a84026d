namespace Hypervisor.Backends.Network;

/// <summary>What a NIC is plugged into.</summary>
public enum NetworkKind
{
    /// <summary>A TAP interface of the host.</summary>
    Tap,

    /// <summary>passt: the guest's connections are made by this host's sockets.</summary>
    User,

    /// <summary>A TCP port at which peers call, each a stream of frames.</summary>
    Listen,

    /// <summary>A TCP port that is called.</summary>
    Connect,

    /// <summary>A connected socket that the process was started with.</summary>
    Descriptor,
}
