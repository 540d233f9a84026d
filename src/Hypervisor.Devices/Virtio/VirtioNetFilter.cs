using System;
using System.Buffers.Binary;
using Hypervisor.Backends.Network;
using Hypervisor.Core.State;
using Protocol = Hypervisor.Devices.Virtio.VirtioNetProtocol;

namespace Hypervisor.Devices.Virtio;

/// <summary>Which frames a NIC hands to its guest. Spec: VIRTIO 1.2, sections 5.1.6.5.1 to 5.1.6.5.3.</summary>
/// <remarks>After a reset everything is let in, as QEMU does: a driver without a control queue needs that.</remarks>
internal sealed class VirtioNetFilter
{
    /// <summary>Most addresses in a table; with more of a kind, all of that kind are let in.</summary>
    public const int TableMax = 64;

    private const int EthernetBytes = 14, TypeOffset = 12, VlanBytes = 4;
    private const ushort VlanType = 0x8100;
    private const int VlanCount = 4096;

    private readonly ulong[] _unicast = new ulong[TableMax];
    private readonly ulong[] _multicast = new ulong[TableMax];
    private readonly byte[] _vlans = new byte[VlanCount / 8];
    private int _unicastCount;
    private int _multicastCount;
    private bool _hasManyUnicast;
    private bool _hasManyMulticast;
    private bool _isPromiscuous = true;
    private bool _takesAllMulticast;
    private bool _takesAllUnicast;
    private bool _takesNoMulticast;
    private bool _takesNoUnicast;
    private bool _takesNoBroadcast;

    /// <summary>Back to power-on state.</summary>
    public void Reset()
    {
        _unicastCount = _multicastCount = 0;
        _hasManyUnicast = _hasManyMulticast = false;
        _isPromiscuous = true;
        _takesAllMulticast = _takesAllUnicast = _takesNoMulticast = _takesNoUnicast = _takesNoBroadcast = false;
        _vlans.AsSpan().Clear();
    }

    /// <summary>Whether a frame is for the guest.</summary>
    /// <param name="frame">From its Ethernet header on.</param>
    /// <param name="mac">The NIC's address.</param>
    /// <param name="filtersVlans">Whether the driver says which VLANs it wants.</param>
    public bool Takes(ReadOnlySpan<byte> frame, MacAddress mac, bool filtersVlans)
    {
        if (frame.Length < EthernetBytes)
        {
            return false;
        }

        if (_isPromiscuous)
        {
            return true;
        }

        if (filtersVlans && BinaryPrimitives.ReadUInt16BigEndian(frame[TypeOffset..]) == VlanType)
        {
            if (frame.Length < EthernetBytes + VlanBytes
                || !HasVlan(BinaryPrimitives.ReadUInt16BigEndian(frame[EthernetBytes..]) & (VlanCount - 1)))
            {
                return false;
            }
        }

        var target = MacAddress.Read(frame);
        return target == MacAddress.Broadcast
            ? !_takesNoBroadcast
            : target.IsGroup
                ? !_takesNoMulticast && (_takesAllMulticast || _hasManyMulticast
                    || _multicast.AsSpan(0, _multicastCount).Contains(target.Value))
                : !_takesNoUnicast && (_takesAllUnicast || _hasManyUnicast || target == mac
                    || _unicast.AsSpan(0, _unicastCount).Contains(target.Value));
    }

    /// <summary>Switches one of the receive modes. False: there is no such mode.</summary>
    public bool TrySwitch(byte command, bool isOn)
    {
        switch (command)
        {
            case Protocol.Promiscuous:
                _isPromiscuous = isOn;
                return true;
            case Protocol.AllMulticast:
                _takesAllMulticast = isOn;
                return true;
            case Protocol.AllUnicast:
                _takesAllUnicast = isOn;
                return true;
            case Protocol.NoMulticast:
                _takesNoMulticast = isOn;
                return true;
            case Protocol.NoUnicast:
                _takesNoUnicast = isOn;
                return true;
            case Protocol.NoBroadcast:
                _takesNoBroadcast = isOn;
                return true;
            default:
                return false;
        }
    }

    /// <summary>Begins a new table; <paramref name="count"/> is how many addresses the driver has for it.</summary>
    /// <returns>How many of them are to be added.</returns>
    public int BeginTable(bool isMulticast, uint count)
    {
        bool isMany = count > TableMax;
        if (isMulticast)
        {
            (_multicastCount, _hasManyMulticast) = (0, isMany);
        }
        else
        {
            (_unicastCount, _hasManyUnicast) = (0, isMany);
        }

        return isMany ? 0 : (int)count;
    }

    /// <summary>Adds an address to the table that was begun.</summary>
    public void Add(bool isMulticast, MacAddress address)
    {
        if (isMulticast)
        {
            _multicast[_multicastCount++] = address.Value;
        }
        else
        {
            _unicast[_unicastCount++] = address.Value;
        }
    }

    /// <summary>Lets a VLAN in, or keeps it out. False: there is no such VLAN.</summary>
    public bool TrySetVlan(ushort vlan, bool isIn)
    {
        if (vlan >= VlanCount)
        {
            return false;
        }

        byte bit = (byte)(1 << (vlan & 7));
        _vlans[vlan >> 3] = (byte)(isIn ? _vlans[vlan >> 3] | bit : _vlans[vlan >> 3] & ~bit);
        return true;
    }

    /// <summary>Moves the filter through its device's section.</summary>
    public void Transfer(ref StateCodec state)
    {
        state.Bool(ref _isPromiscuous);
        state.Bool(ref _takesAllMulticast);
        state.Bool(ref _takesAllUnicast);
        state.Bool(ref _takesNoMulticast);
        state.Bool(ref _takesNoUnicast);
        state.Bool(ref _takesNoBroadcast);
        state.Bool(ref _hasManyUnicast);
        state.Bool(ref _hasManyMulticast);
        TransferTable(ref state, _unicast, ref _unicastCount);
        TransferTable(ref state, _multicast, ref _multicastCount);
        state.Bytes(_vlans);
    }

    private static void TransferTable(ref StateCodec state, ulong[] table, ref int count)
    {
        state.Count(ref count, TableMax);
        for (int i = 0; i < count; i++)
        {
            state.U64(ref table[i]);
        }
    }

    private bool HasVlan(int vlan) => (_vlans[vlan >> 3] & (1 << (vlan & 7))) != 0;
}
