using System;
using System.Buffers.Binary;
using System.Linq;
using Hypervisor.Backends.Network;
using Hypervisor.Core;
using Hypervisor.TestKit;

namespace Hypervisor.Tests.Devices.Virtio;

/// <summary>A guest's virtio-net driver: as many pairs of queues as it is told, and the control queue.</summary>
internal sealed class NetDriver
{
    public const ulong Checksum = 1UL << 0, GuestChecksum = 1UL << 1, ControlGuestOffloads = 1UL << 2, Mtu = 1UL << 3;
    public const ulong GuestTcp4 = 1UL << 7, GuestTcp6 = 1UL << 8, HostTcp4 = 1UL << 11, HostEcn = 1UL << 13;
    public const ulong Mergeable = 1UL << 15, ControlQueue = 1UL << 17, ControlReceive = 1UL << 18;
    public const ulong ControlVlan = 1UL << 19, ControlExtra = 1UL << 20, Announce = 1UL << 21, MultiQueue = 1UL << 22;
    public const ulong ControlMac = 1UL << 23, EventIndex = 1UL << 29;
    public const ulong Everything = VirtioPciDriver.Version1 | Checksum | GuestChecksum | ControlGuestOffloads | Mtu
        | GuestTcp4 | GuestTcp6 | HostTcp4 | HostEcn | Mergeable | ControlQueue | ControlReceive | ControlVlan
        | ControlExtra | Announce | ControlMac;

    public const ulong MsiAddress = 0xFEE0_0000;
    public const uint MsiData = 0x60;
    public const byte Ok = 0, Error = 1, Untouched = 0xFF;
    public const ushort QueueSize = 64;

    private const ulong QueueGpa = 0x10_0000, QueueBytes = 0x4000, BufferGpa = 0x40_0000;
    private readonly VirtioBench _bench;
    private ulong _nextBuffer = BufferGpa;

    public NetDriver(VirtioBench bench, ulong features = Everything, int pairs = 1)
    {
        _bench = bench;
        Pci = bench.Probe();
        Pci.EnableMsix();
        Check.That(Pci.Negotiate(features));
        Queues = new VirtqueueDriver[(2 * pairs) + 1];
        Pci.SetVector(0, MsiAddress, MsiData);
        Pci.WriteCommon(16, 2, 0);
        for (int i = 0; i < Queues.Length; i++)
        {
            Pci.SetVector(i + 1, MsiAddress, MsiData + 1 + (uint)i);
            Queues[i] = new VirtqueueDriver(bench.Harness.Ram, QueueGpa + ((ulong)i * QueueBytes), QueueSize);
            Pci.SetUpQueue(i, Queues[i], (ushort)(i + 1));
        }

        Pci.Start();
    }

    public VirtioPciDriver Pci { get; }

    public VirtqueueDriver[] Queues { get; }

    public bool IsBroken => (Pci.Status & 64) != 0;

    /// <summary>A frame of so many bytes without its header: to a target, of a type that nobody knows.</summary>
    public static byte[] Frame(int lengthBytes, string target = "52:54:00:12:34:56", ushort type = 0x88B5)
    {
        byte[] frame = [.. Enumerable.Range(0, lengthBytes).Select(i => (byte)(i * 7))];
        Check.That(MacAddress.TryParse(target, out MacAddress mac));
        mac.Write(frame);
        new MacAddress(0x0200_0000_0001).Write(frame.AsSpan(6));
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), type);
        return frame;
    }

    /// <summary>A header before a frame.</summary>
    public static byte[] With(in VnetHeader header, byte[] frame)
    {
        byte[] bytes = new byte[VnetHeader.Bytes];
        header.Write(bytes, 0);
        return [.. bytes, .. frame];
    }

    /// <summary>Sends header and frame, cut into buffers of so many bytes.</summary>
    public void Send(byte[] bytes, int pair = 0, int bufferBytes = int.MaxValue, bool kicks = true)
    {
        (ulong, uint, bool)[] chain = [.. bytes.Chunk(Math.Min(bufferBytes, bytes.Length)).Select(part =>
            (Place(part), (uint)part.Length, false))];
        Queues[(2 * pair) + 1].Add(chain);
        if (kicks)
        {
            Pci.Kick((2 * pair) + 1);
        }
    }

    /// <summary>Offers a buffer for received frames; returns its GPA.</summary>
    public ulong Offer(int lengthBytes, int pair = 0)
    {
        ulong gpa = Place(new byte[lengthBytes]);
        Queues[2 * pair].Add((gpa, (uint)lengthBytes, true));
        Pci.Kick(2 * pair);
        return gpa;
    }

    /// <summary>Sends a command; returns how it went.</summary>
    public byte Command(byte commandClass, byte command, params byte[] data)
    {
        ulong request = Place([commandClass, command, .. data]);
        ulong answer = Place([Untouched]);
        VirtqueueDriver queue = Queues[^1];
        queue.Add((request, (uint)data.Length + 2u, false), (answer, 1u, true));
        Pci.Kick(Queues.Length - 1);
        _ = queue.TryTakeUsed(out _, out _);
        return Bytes(answer, 1)[0];
    }

    public ulong Place(byte[] bytes)
    {
        ulong gpa = _nextBuffer;
        _nextBuffer += ((ulong)bytes.Length + 63) & ~63UL;
        Check.That(_bench.Harness.Ram.TryWrite(gpa, bytes));
        return gpa;
    }

    public byte[] Bytes(ulong gpa, int count)
    {
        byte[] bytes = new byte[count];
        Check.That(_bench.Harness.Ram.TryRead(gpa, bytes));
        return bytes;
    }
}
