using System;
using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Threading;

namespace Hypervisor.Benchmarks.Network;

/// <summary>What ping does. Spec: RFC 792, "Echo or Echo Reply Message".</summary>
internal static class EchoRequest
{
    private const byte Request = 8, Reply = 0;
    private const int HeaderBytes = 8, DataBytes = 56, ChecksumOffset = 2, SequenceOffset = 6;
    private const int PacketBytesMax = 1500;

    /// <summary>Asks so many times, one after the other.</summary>
    /// <returns>Milliseconds until each answer, sorted.</returns>
    /// <exception cref="InvalidOperationException">An answer did not come.</exception>
    public static double[] Measure(Socket icmp, string address, int count, int thinkMillis)
    {
        var target = new IPEndPoint(IPAddress.Parse(address), 0);
        byte[] request = new byte[HeaderBytes + DataBytes], packet = new byte[PacketBytesMax];
        double[] millis = new double[count];
        for (int i = 0; i < count; i++)
        {
            Thread.Sleep(thinkMillis);
            request[0] = Request;
            BinaryPrimitives.WriteUInt16BigEndian(request.AsSpan(SequenceOffset), (ushort)i);
            BinaryPrimitives.WriteUInt16BigEndian(request.AsSpan(ChecksumOffset), 0);
            BinaryPrimitives.WriteUInt16BigEndian(request.AsSpan(ChecksumOffset), Checksum(request));
            long start = Stopwatch.GetTimestamp();
            _ = icmp.SendTo(request, target);
            while (!IsReply(packet, Receive(icmp, packet), i))
            {
                // Somebody else's, or late.
            }

            millis[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        Array.Sort(millis);
        return millis;
    }

    private static int Receive(Socket icmp, byte[] packet)
    {
        try
        {
            return icmp.Receive(packet);
        }
        catch (SocketException error)
        {
            throw new InvalidOperationException($"ping: {error.Message}", error);
        }
    }

    // Raw sockets give the IP header too; its length is in the low half of its first byte, in words.
    private static bool IsReply(byte[] packet, int length, int sequence)
    {
        int header = (packet[0] & 0x0F) * 4;
        return length >= header + HeaderBytes && packet[header] == Reply
            && BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(header + SequenceOffset)) == sequence;
    }

    private static ushort Checksum(ReadOnlySpan<byte> bytes)
    {
        uint sum = 0;
        for (int i = 0; i < bytes.Length; i += 2)
        {
            sum += BinaryPrimitives.ReadUInt16BigEndian(bytes[i..]);
        }

        sum = (sum & 0xFFFF) + (sum >> 16);
        return (ushort)~(sum + (sum >> 16));
    }
}
