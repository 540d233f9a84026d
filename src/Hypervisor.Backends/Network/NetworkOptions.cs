using System;
using System.Collections.Generic;
using Hypervisor.Core.Host;

namespace Hypervisor.Backends.Network;

/// <summary>One NIC and what it is plugged into.</summary>
/// <param name="Kind">Decides which of the other properties mean something.</param>
public sealed record NetworkOptions(NetworkKind Kind)
{
    /// <summary>Largest packet when nothing is said: Ethernet's.</summary>
    public const int MtuBytesDefault = 1500;

    /// <summary>Smallest: RFC 791. Spec: VIRTIO 1.2, section 5.1.4.1.</summary>
    public const int MtuBytesMin = 68;

    /// <summary>Largest: a frame must fit into the NIC's buffers.</summary>
    public const int MtuBytesMax = ushort.MaxValue;

    /// <summary>Most queues of each direction.</summary>
    public const int QueueCountMax = 16;

    /// <summary>Ethernet address of the NIC.</summary>
    public MacAddress Mac { get; init; }

    /// <summary>Largest packet, without its Ethernet header.</summary>
    public int MtuBytes { get; init; } = MtuBytesDefault;

    /// <summary>Queues of each direction; TAP only.</summary>
    public int QueueCount { get; init; } = 1;

    /// <summary>Name of the TAP interface.</summary>
    public string InterfaceName { get; init; } = "";

    /// <summary>Host name or address, to listen at or to call.</summary>
    public string Host { get; init; } = "";

    /// <summary>Port to listen at or to call.</summary>
    public int Port { get; init; }

    /// <summary>File descriptor of the socket.</summary>
    public int Descriptor { get; init; }

    /// <summary>Ports that passt forwards to the guest.</summary>
    public IReadOnlyList<HostForward> Forwards { get; init; } = [];

    /// <summary>Opens what the NIC is plugged into.</summary>
    /// <param name="startsNow">Whether the guest starts here, now; a standby's may never.</param>
    /// <param name="report">Takes a line about what goes wrong later.</param>
    /// <exception cref="HostException">It cannot be had.</exception>
    public INetworkBackend Open(bool startsNow, Action<string> report) => Kind switch
    {
        NetworkKind.Tap => new TapBackend(InterfaceName, QueueCount),
        NetworkKind.User => new StreamBackend(new PasstPeer(this, startsNow, report)),
        NetworkKind.Listen => new StreamBackend(new ListeningPeers(Host, Port)),
        NetworkKind.Connect => new StreamBackend(new CalledPeer(Host, Port)),
        NetworkKind.Descriptor => new StreamBackend(new GivenPeer(Descriptor)),
    };
}
