using Hypervisor.Backends.Network;

namespace Hypervisor.Devices.Virtio;

/// <summary>Numbers of the network device. Spec: VIRTIO 1.2, section 5.1.</summary>
internal static class VirtioNetProtocol
{
    // Features. Spec: 5.1.3.
    public const ulong Checksum = 1UL << 0, GuestChecksum = 1UL << 1, ControlGuestOffloads = 1UL << 2;
    public const ulong Mtu = 1UL << 3, Mac = 1UL << 5;
    public const ulong GuestTcp4 = 1UL << 7, GuestTcp6 = 1UL << 8, GuestEcn = 1UL << 9;
    public const ulong HostTcp4 = 1UL << 11, HostTcp6 = 1UL << 12, HostEcn = 1UL << 13;
    public const ulong MergeableBuffers = 1UL << 15, Status = 1UL << 16;
    public const ulong ControlQueue = 1UL << 17, ControlReceive = 1UL << 18, ControlVlan = 1UL << 19;
    public const ulong ControlReceiveExtra = 1UL << 20, GuestAnnounce = 1UL << 21, MultiQueue = 1UL << 22;
    public const ulong ControlMac = 1UL << 23, SpeedDuplex = 1UL << 63;

    /// <summary>What a driver may switch on and off while it runs.</summary>
    public const ulong GuestOffloads = GuestChecksum | GuestTcp4 | GuestTcp6 | GuestEcn;

    // HOST_TSO4 to HOST_ECN lie so many bits above their GUEST_ counterparts.
    private const int HostFeatureShift = 4;

    // Status field of the configuration structure. Spec: 5.1.4.
    public const ushort LinkUp = 1, Announce = 2;

    // Classes and commands of the control queue. Spec: 5.1.6.5.
    public const byte ReceiveClass = 0, MacClass = 1, VlanClass = 2, AnnounceClass = 3, MultiQueueClass = 4;
    public const byte GuestOffloadsClass = 5;
    public const byte Promiscuous = 0, AllMulticast = 1, AllUnicast = 2, NoMulticast = 3, NoUnicast = 4;
    public const byte NoBroadcast = 5;
    public const byte MacTableSet = 0, MacAddressSet = 1;
    public const byte VlanAdd = 0, VlanDelete = 1;
    public const byte AnnounceAcknowledge = 0, QueuePairsSet = 0, GuestOffloadsSet = 0;
    public const byte Ok = 0, Error = 1;

    /// <summary>Which features each one needs. Spec: 5.1.3.1.</summary>
    public static readonly (ulong Feature, ulong NeedsOneOf)[] Dependencies =
    [
        (GuestTcp4, GuestChecksum), (GuestTcp6, GuestChecksum), (GuestEcn, GuestTcp4 | GuestTcp6),
        (HostTcp4, Checksum), (HostTcp6, Checksum), (HostEcn, HostTcp4 | HostTcp6),
        (ControlReceive, ControlQueue), (ControlVlan, ControlQueue), (ControlReceiveExtra, ControlQueue),
        (GuestAnnounce, ControlQueue), (MultiQueue, ControlQueue), (ControlMac, ControlQueue),
        (ControlGuestOffloads, ControlQueue),
    ];

    /// <summary>What the driver must have agreed to before a frame of this GSO type is given to it.</summary>
    /// <returns>Feature bits; all of them for a type that is never offered.</returns>
    public static ulong GsoFeaturesOfGuest(byte gsoType) => gsoType switch
    {
        VnetHeader.GsoNone => 0,
        VnetHeader.GsoTcp4 => GuestTcp4,
        VnetHeader.GsoTcp6 => GuestTcp6,
        VnetHeader.GsoTcp4 | VnetHeader.GsoEcn => GuestTcp4 | GuestEcn,
        VnetHeader.GsoTcp6 | VnetHeader.GsoEcn => GuestTcp6 | GuestEcn,
        _ => ulong.MaxValue,
    };

    /// <summary>What must have been agreed on before the driver may send a frame of this GSO type.</summary>
    /// <returns>Feature bits; more than there are for a type that is never offered.</returns>
    public static ulong GsoFeaturesOfHost(byte gsoType) => GsoFeaturesOfGuest(gsoType) << HostFeatureShift;
}
