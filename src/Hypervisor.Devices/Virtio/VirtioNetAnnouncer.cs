using System;
using Hypervisor.Backends.Network;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;

namespace Hypervisor.Devices.Virtio;

/// <summary>Tells the network after a takeover where the NIC's address is now.</summary>
/// <remarks>
/// Reverse ARP requests to everybody, which every switch learns from and nobody answers, five times, as QEMU does.
/// They go through the outbox like the guest's own frames. Spec: RFC 903.
/// </remarks>
internal sealed class VirtioNetAnnouncer
{
    private const byte Rounds = 5;
    private const long FirstWaitNanos = 50_000_000, MoreWaitNanos = 100_000_000;
    private const int FrameBytes = 60; // shortest Ethernet frame, without its checksum

    private readonly INetworkPort _port;
    private readonly Func<MacAddress> _mac;
    private readonly GuestTimers _timers;
    private readonly GuestTimer _timer;
    private byte _roundsLeft;

    /// <summary>Makes an announcer that is silent.</summary>
    public VirtioNetAnnouncer(INetworkPort port, GuestTimers timers, Func<MacAddress> mac)
    {
        _port = port;
        _mac = mac;
        _timers = timers;
        _timer = timers.Create(Announce);
    }

    /// <summary>Announces now, and some more times.</summary>
    public void Begin()
    {
        _roundsLeft = Rounds;
        Announce();
    }

    /// <summary>Announces no more.</summary>
    public void Stop()
    {
        _roundsLeft = 0;
        _timer.Disarm();
    }

    /// <summary>Moves what is still to be said through the device's section.</summary>
    public void Transfer(ref StateCodec state)
    {
        state.U8(ref _roundsLeft);
        _timer.Transfer(ref state);
    }

    private void Announce()
    {
        if (_roundsLeft == 0)
        {
            return;
        }

        SendReverseArp(_mac());
        _roundsLeft--;
        if (_roundsLeft > 0)
        {
            long wait = FirstWaitNanos + ((Rounds - 1 - _roundsLeft) * MoreWaitNanos);
            _timer.Arm(_timers.Clock.NowNanos + wait);
        }
    }

    private void SendReverseArp(MacAddress mac)
    {
        Span<byte> bytes = stackalloc byte[VnetHeader.Bytes + FrameBytes];
        bytes.Clear();
        Span<byte> frame = bytes[VnetHeader.Bytes..];
        MacAddress.Broadcast.Write(frame);
        mac.Write(frame[6..]);
        ReadOnlySpan<byte> request = [0x80, 0x35, 0, 1, 8, 0, MacAddress.Bytes, 4, 0, 3]; // of Ethernet and IPv4
        request.CopyTo(frame[12..]);
        mac.Write(frame[22..]); // sender
        mac.Write(frame[32..]); // target
        _ = _port.TrySend(0, bytes); // lost when there is no room: there are more
    }
}
