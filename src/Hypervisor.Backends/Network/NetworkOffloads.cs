using System;

namespace Hypervisor.Backends.Network;

/// <summary>What a guest can do itself in frames that it receives. The bits are those of Linux' TUN_F_….</summary>
[Flags]
public enum NetworkOffloads : byte
{
    /// <summary>Nothing: every frame is as on the wire.</summary>
    None = 0,

    /// <summary>It takes frames without a checksum.</summary>
    Checksum = 1,

    /// <summary>It takes large TCP packets over IPv4.</summary>
    Tcp4 = 2,

    /// <summary>It takes large TCP packets over IPv6.</summary>
    Tcp6 = 4,

    /// <summary>It takes large TCP packets with CWR set.</summary>
    TcpEcn = 8,
}
