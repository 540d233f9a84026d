using System;
using System.Buffers.Binary;
using Hypervisor.Backends.Network;
using Hypervisor.Core;
using Hypervisor.Core.State;
using Protocol = Hypervisor.Devices.Virtio.VirtioNetProtocol;

namespace Hypervisor.Devices.Virtio;

/// <summary>A virtio NIC.</summary>
/// <remarks>
/// Spec: VIRTIO 1.2, section 5.1. Queues: receive and transmit of each pair in turn, then control. A frame is copied
/// when it is taken and when it is given, in the hold of the bus lock that gives its buffer back: no frame is ever in
/// flight, so none is state. What the guest sends waits in the port's outbox for its epoch.
/// </remarks>
public sealed class VirtioNet : VirtioDevice
{
    /// <summary>Most pairs of queues.</summary>
    public const int PairsMax = NetworkOptions.QueueCountMax;

    internal const ushort QueueSize = 256;

    private const int ConfigLength = 17;
    private const uint LinkMegabits = 10_000;
    private const byte FullDuplex = 1;
    private const int LinkHeaderBytes = 14, VlanBytes = 4;

    private readonly DeviceContext _context;
    private readonly ushort _instance;
    private readonly INetworkPort _port;
    private readonly VirtioNetOptions _options;
    private readonly VirtioNetFilter _filter = new();
    private readonly VirtioNetAnnouncer _announcer;
    private readonly VirtioNetControl _control;
    private readonly VirtioNetReceiver[] _receivers;
    private readonly VirtioNetSender[] _senders;

    private ulong _mac;
    private ushort _pairCount = 1;
    private ulong _guestOffloads; // feature bits of those that are on
    private bool _isAnnouncing;

    /// <summary>Makes a NIC; it does not own the port.</summary>
    public VirtioNet(DeviceContext context, ushort instance, INetworkPort port, VirtioNetOptions options)
    {
        Check.That(port.QueueCount is > 0 and <= PairsMax && !options.Mac.IsGroup);
        _context = context;
        _instance = instance;
        _port = port;
        _options = options;
        _mac = options.Mac.Value;
        _announcer = new VirtioNetAnnouncer(port, context.Timers, () => Mac);
        _control = new VirtioNetControl(this, context.Ram);
        _receivers = new VirtioNetReceiver[port.QueueCount];
        _senders = new VirtioNetSender[port.QueueCount];
        for (int i = 0; i < _receivers.Length; i++)
        {
            _receivers[i] = new VirtioNetReceiver(this, context, port, i);
            _senders[i] = new VirtioNetSender(this, context, port, i);
        }

        port.OnReceived = queue => _receivers[queue].Post();
        port.OnRoom = () => Array.ForEach(_senders, sender => sender.Post());
    }

    /// <inheritdoc/>
    public override SectionId Section => new(Tag: 0x5445_4E56, _instance, Version: 1); // "VNET"

    /// <inheritdoc/>
    public override ushort DeviceType => 1;

    /// <inheritdoc/>
    public override uint ClassCode => 0x02_0000; // Ethernet controller

    /// <inheritdoc/>
    public override ulong DeviceFeatures
        => Protocol.Checksum | Protocol.HostTcp4 | Protocol.HostTcp6 | Protocol.HostEcn
            | Protocol.Mtu | Protocol.Mac | Protocol.MergeableBuffers | Protocol.Status
            | Protocol.ControlQueue | Protocol.ControlReceive | Protocol.ControlReceiveExtra | Protocol.ControlVlan
            | Protocol.ControlMac | Protocol.GuestAnnounce | Protocol.SpeedDuplex
            | (_port.HasOffloads ? Protocol.GuestOffloads | Protocol.ControlGuestOffloads : 0)
            | (_port.QueueCount > 1 ? Protocol.MultiQueue : 0);

    /// <inheritdoc/>
    public override int QueueCount => (2 * _port.QueueCount) + 1;

    /// <inheritdoc/>
    public override ushort QueueSizeMax => QueueSize;

    /// <inheritdoc/>
    public override int ConfigBytes => ConfigLength;

    /// <summary>Its address now.</summary>
    public MacAddress Mac => new(_mac);

    /// <summary>Whether frames may pass at all.</summary>
    internal bool IsRunning => Transport.IsRunning;

    internal VirtioNetFilter Filter => _filter;

    // Without several queues the control queue follows the first pair. Spec: 5.1.2.
    internal int ControlIndex => Has(Protocol.MultiQueue) ? 2 * _port.QueueCount : 2;

    internal bool MergesBuffers => Has(Protocol.MergeableBuffers);

    /// <inheritdoc/>
    public override bool AreFeaturesSound(ulong features)
    {
        foreach ((ulong feature, ulong needsOneOf) in Protocol.Dependencies)
        {
            if ((features & feature) != 0 && (features & needsOneOf) == 0)
            {
                return false;
            }
        }

        return true;
    }

    /// <inheritdoc/>
    public override void OnFeaturesAgreed()
    {
        _guestOffloads = Transport.Negotiation.Accepted & Protocol.GuestOffloads;
        ConfigurePort();
    }

    /// <inheritdoc/>
    public override void ReadConfig(Span<byte> config)
    {
        // mac @0 | status u16 @6 | max_virtqueue_pairs u16 @8 | mtu u16 @10 | speed u32 @12 | duplex u8 @16
        new MacAddress(_mac).Write(config);
        ushort status = (ushort)(Protocol.LinkUp | (_isAnnouncing ? Protocol.Announce : 0));
        BinaryPrimitives.WriteUInt16LittleEndian(config[6..], status);
        BinaryPrimitives.WriteUInt16LittleEndian(config[8..], (ushort)_port.QueueCount);
        BinaryPrimitives.WriteUInt16LittleEndian(config[10..], _options.MtuBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(config[12..], LinkMegabits);
        config[16] = FullDuplex;
    }

    /// <inheritdoc/>
    public override void ServiceQueue(int index)
    {
        if (index == ControlIndex)
        {
            _control.Serve();
        }
        else if (index < 2 * _pairCount)
        {
            if ((index & 1) == 0)
            {
                _receivers[index / 2].Deliver();
            }
            else
            {
                _senders[index / 2].Serve();
            }
        }
    }

    /// <inheritdoc/>
    public override void OnQueueReset(int index)
    {
        // Nothing is in flight.
    }

    /// <inheritdoc/>
    public override void OnReset()
    {
        _mac = _options.Mac.Value;
        _pairCount = 1;
        _guestOffloads = 0;
        _isAnnouncing = false;
        _filter.Reset();
        _announcer.Stop();
        ConfigurePort();
    }

    /// <inheritdoc/>
    /// <remarks>Only a takeover loads a machine and lets it run: switches must learn where the guest is now.</remarks>
    public override void ResumeInFlight()
    {
        ConfigurePort();
        if (!IsRunning)
        {
            return;
        }

        _announcer.Begin();
        if (Has(Protocol.GuestAnnounce))
        {
            _isAnnouncing = true; // the guest knows its IP addresses, and announces those. Spec: 5.1.6.5.4
            Transport.NotifyConfigChanged();
        }
    }

    /// <inheritdoc/>
    /// <exception cref="StateFormatException">Another NIC than this one.</exception>
    public override void Transfer(ref StateCodec state)
    {
        ulong permanentMac = _options.Mac.Value;
        ushort mtu = _options.MtuBytes;
        state.U64(ref permanentMac);
        state.U16(ref mtu);
        state.U64(ref _mac);
        state.U16(ref _pairCount);
        state.U64(ref _guestOffloads);
        state.Bool(ref _isAnnouncing);
        _filter.Transfer(ref state);
        _announcer.Transfer(ref state);
        if (permanentMac != _options.Mac.Value || mtu != _options.MtuBytes)
        {
            throw new StateFormatException($"NIC {_instance} is {new MacAddress(permanentMac)} with MTU {mtu} there, "
                + $"{_options.Mac} with MTU {_options.MtuBytes} here");
        }

        if (_pairCount == 0 || _pairCount > _port.QueueCount)
        {
            throw new StateFormatException(
                $"NIC {_instance} uses {_pairCount} pairs of queues, allowed are 1 to {_port.QueueCount}");
        }
    }

    internal bool Has(ulong feature) => Transport.Negotiation.Has(feature);

    internal bool HasAll(ulong features) => (features & ~Transport.Negotiation.Accepted) == 0;

    internal Virtqueue Queue(int index) => Transport.Queue(index);

    internal bool CanServe(int index)
        => Transport.IsRunning && index < 2 * _pairCount && Transport.Queue(index).IsEnabled;

    internal void NotifyUsed(int index) => Transport.NotifyUsed(index);

    internal void MarkBroken() => Transport.MarkBroken();

    internal void Defer(IPostedWork work) => _context.EventLoop.Post(work);

    /// <summary>Takes a new address from the driver. False: a group's.</summary>
    internal bool TrySetMac(MacAddress mac)
    {
        _mac = mac.IsGroup ? _mac : mac.Value;
        return !mac.IsGroup;
    }

    /// <summary>Takes the number of pairs in use from the driver. False: it has not so many.</summary>
    internal bool TrySetPairs(int count)
    {
        if (count < 1 || count > _port.QueueCount)
        {
            return false;
        }

        _pairCount = (ushort)count;
        ConfigurePort();
        for (int i = 0; i < _receivers.Length; i++)
        {
            _receivers[i].Post();
            _senders[i].Post(); // what waits in a queue that is in use now was told of before
        }

        return true;
    }

    /// <summary>
    /// Takes from the driver what it does itself in received frames. False: not agreed on, or one needs another.
    /// </summary>
    internal bool TrySetGuestOffloads(ulong offloads)
    {
        bool isOffered = (offloads & ~Protocol.GuestOffloads) == 0;
        if (!isOffered || !HasAll(offloads) || !AreFeaturesSound(offloads))
        {
            return false;
        }

        _guestOffloads = offloads;
        ConfigurePort();
        return true;
    }

    /// <summary>The driver has announced itself.</summary>
    internal void OnAnnounced() => _isAnnouncing = false;

    /// <summary>Whether a frame that came is to be handed over.</summary>
    internal bool Takes(in VnetHeader header, ReadOnlySpan<byte> frame)
    {
        // A large packet is cut up by who takes it; everything else must fit. Spec: 5.1.4.1.
        bool fits = header.GsoType != VnetHeader.GsoNone || !Has(Protocol.Mtu)
            || frame.Length <= LinkHeaderBytes + VlanBytes + _options.MtuBytes;
        bool isGsoTaken = (Protocol.GsoFeaturesOfGuest(header.GsoType) & ~_guestOffloads) == 0;
        return fits && isGsoTaken && _filter.Takes(frame, Mac, Has(Protocol.ControlVlan));
    }

    /// <summary>Whether the driver takes frames whose checksum it has to complete, or need not look at.</summary>
    internal bool TakesPartialChecksums => (_guestOffloads & Protocol.GuestChecksum) != 0;

    private void ConfigurePort()
    {
        NetworkOffloads offloads = If(Protocol.GuestChecksum, NetworkOffloads.Checksum)
            | If(Protocol.GuestTcp4, NetworkOffloads.Tcp4)
            | If(Protocol.GuestTcp6, NetworkOffloads.Tcp6)
            | If(Protocol.GuestEcn, NetworkOffloads.TcpEcn);
        _port.Configure(offloads, _pairCount);

        NetworkOffloads If(ulong feature, NetworkOffloads offload)
            => (_guestOffloads & feature) != 0 ? offload : NetworkOffloads.None;
    }
}
