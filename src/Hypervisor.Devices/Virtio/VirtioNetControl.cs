using System;
using System.Buffers.Binary;
using Hypervisor.Backends.Network;
using Hypervisor.Core.Memory;
using Protocol = Hypervisor.Devices.Virtio.VirtioNetProtocol;

namespace Hypervisor.Devices.Virtio;

/// <summary>Carries out commands of the control queue. Spec: VIRTIO 1.2, section 5.1.6.5.</summary>
/// <remarks>A command: class u8 | command u8 | data; the device writes one byte, how it went.</remarks>
internal sealed class VirtioNetControl(VirtioNet owner, GuestRam ram) : IPostedWork
{
    private const int HeaderBytes = 2;
    private const int CommandsPerHold = 64;

    private readonly VirtqueueChain _chain = new();

    /// <inheritdoc/>
    public void RunPosted()
    {
        int index = owner.ControlIndex;
        if (owner.IsRunning && owner.Queue(index).IsEnabled)
        {
            Serve();
        }
    }

    /// <summary>Carries out what waits.</summary>
    public void Serve()
    {
        int index = owner.ControlIndex;
        Virtqueue queue = owner.Queue(index);
        Span<byte> header = stackalloc byte[HeaderBytes];
        Span<byte> answer = stackalloc byte[1];
        for (int budget = CommandsPerHold; budget > 0; budget--)
        {
            switch (queue.TryPop(_chain))
            {
                case VirtqueueResult.Empty:
                    if (!queue.AskForKick())
                    {
                        return;
                    }

                    continue;
                case VirtqueueResult.Chain when _chain.WritableBytes > 0 && _chain.TryRead(ram, 0, header):
                    break;
                default:
                    owner.MarkBroken();
                    return;
            }

            answer[0] = TryRun(header[0], header[1]) ? Protocol.Ok : Protocol.Error;
            if (!_chain.TryWrite(ram, 0, answer) || !queue.TryPush(_chain.Head, 1))
            {
                owner.MarkBroken();
                return;
            }

            owner.NotifyUsed(index);
        }

        owner.Defer(this);
    }

    private bool TryRun(byte commandClass, byte command)
    {
        long dataBytes = _chain.ReadableBytes - HeaderBytes;
        return commandClass switch
        {
            Protocol.ReceiveClass => TrySwitch(command, dataBytes),
            Protocol.MacClass when owner.Has(Protocol.ControlMac) => command switch
            {
                Protocol.MacTableSet => TrySetTables(dataBytes),
                Protocol.MacAddressSet => dataBytes == MacAddress.Bytes && TryReadMac(HeaderBytes, out MacAddress mac)
                    && owner.TrySetMac(mac),
                _ => false,
            },
            Protocol.VlanClass when owner.Has(Protocol.ControlVlan) =>
                command is Protocol.VlanAdd or Protocol.VlanDelete && TryReadU16(dataBytes, out ushort vlan)
                && owner.Filter.TrySetVlan(vlan, command == Protocol.VlanAdd),
            Protocol.AnnounceClass when owner.Has(Protocol.GuestAnnounce) =>
                command == Protocol.AnnounceAcknowledge && Acknowledge(),
            Protocol.MultiQueueClass when owner.Has(Protocol.MultiQueue) =>
                command == Protocol.QueuePairsSet && TryReadU16(dataBytes, out ushort pairs)
                && owner.TrySetPairs(pairs),
            Protocol.GuestOffloadsClass when owner.Has(Protocol.ControlGuestOffloads) =>
                command == Protocol.GuestOffloadsSet && TrySetOffloads(dataBytes),
            _ => false,
        };
    }

    private bool TrySwitch(byte command, long dataBytes)
    {
        ulong needed = command <= Protocol.AllMulticast ? Protocol.ControlReceive : Protocol.ControlReceiveExtra;
        Span<byte> isOn = stackalloc byte[1];
        return owner.Has(needed) && dataBytes == 1 && _chain.TryRead(ram, HeaderBytes, isOn)
            && owner.Filter.TrySwitch(command, isOn[0] != 0);
    }

    // Two tables, unicast then multicast: count u32, then that many addresses.
    private bool TrySetTables(long dataBytes)
    {
        // Both are looked at before either is changed.
        if (!TryReadCount(HeaderBytes, out uint unicast))
        {
            return false;
        }

        long second = HeaderBytes + sizeof(uint) + ((long)unicast * MacAddress.Bytes);
        if (!TryReadCount(second, out uint multicast)
            || second + sizeof(uint) + ((long)multicast * MacAddress.Bytes) != HeaderBytes + dataBytes)
        {
            return false;
        }

        ReadTable(isMulticast: false, HeaderBytes + sizeof(uint), unicast);
        ReadTable(isMulticast: true, second + sizeof(uint), multicast);
        return true;
    }

    private void ReadTable(bool isMulticast, long offset, uint count)
    {
        int taken = owner.Filter.BeginTable(isMulticast, count);
        for (int i = 0; i < taken && TryReadMac(offset + (i * MacAddress.Bytes), out MacAddress mac); i++)
        {
            owner.Filter.Add(isMulticast, mac);
        }
    }

    private bool TryReadCount(long offset, out uint count)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        bool isThere = _chain.TryRead(ram, offset, bytes);
        count = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        return isThere;
    }

    private bool TryReadMac(long offset, out MacAddress mac)
    {
        Span<byte> bytes = stackalloc byte[MacAddress.Bytes];
        bool isThere = _chain.TryRead(ram, offset, bytes);
        mac = MacAddress.Read(bytes);
        return isThere;
    }

    private bool TryReadU16(long dataBytes, out ushort value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ushort)];
        bool isThere = dataBytes == sizeof(ushort) && _chain.TryRead(ram, HeaderBytes, bytes);
        value = BinaryPrimitives.ReadUInt16LittleEndian(bytes);
        return isThere;
    }

    private bool TrySetOffloads(long dataBytes)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        return dataBytes == sizeof(ulong) && _chain.TryRead(ram, HeaderBytes, bytes)
            && owner.TrySetGuestOffloads(BinaryPrimitives.ReadUInt64LittleEndian(bytes));
    }

    private bool Acknowledge()
    {
        owner.OnAnnounced();
        return true;
    }
}
