using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Hypervisor.Backends.Network;
using Xunit;

namespace Hypervisor.Tests.Backends.Network;

public sealed class SoftwareOffloadTests
{
    private const int Ethernet = 14;

    [Theory]
    [InlineData(new byte[] { 0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7 }, 0x220D)] // RFC 1071, section 3: DDF2
    [InlineData(new byte[] { 0x01 }, 0xFEFF)] // an odd byte is padded behind
    [InlineData(new byte[0], 0xFFFF)]
    public void Checksum_is_that_of_rfc_1071(byte[] bytes, ushort checksum)
        => Assert.Equal(checksum, InternetChecksum.Finish(InternetChecksum.Add(0, bytes)));

    [Fact]
    public void Checksum_of_pieces_is_that_of_the_whole()
    {
        byte[] bytes = new byte[70_000];
        new Random(1).NextBytes(bytes);

        uint sum = 0;
        foreach (byte[] piece in bytes.Chunk(1338)) // even
        {
            sum = InternetChecksum.Add(sum, piece);
        }

        Assert.Equal(Slow(bytes), InternetChecksum.Finish(sum));
    }

    [Fact]
    public void Known_ipv4_header_has_its_known_checksum()
    {
        // The example of RFC 1071's successors: 45 00 00 73 … gives B861.
        byte[] header = Convert.FromHexString("450000730000400040110000c0a80001c0a800c7");

        Assert.Equal(0xB861, InternetChecksum.Finish(InternetChecksum.Add(0, header)));
    }

    [Theory]
    [InlineData(false, 0, 4000, 1460)]
    [InlineData(false, 0, 2920, 1460)] // ends on a whole segment
    [InlineData(false, 0, 1, 1460)]
    [InlineData(false, 0, 0, 1460)]
    [InlineData(false, 4, 4000, 1448)] // with a VLAN tag
    [InlineData(true, 0, 5000, 1440)]
    [InlineData(true, 8, 65_000, 1000)]
    [InlineData(false, 0, 100, 1)]
    public void Large_packet_becomes_segments_that_carry_the_same_bytes(bool isIpv6, int tags, int bytes, ushort size)
    {
        byte[] packet = Packet(isIpv6, tags, bytes);
        byte[] frame = (byte[])packet.Clone();
        int transport = Ethernet + tags + (isIpv6 ? 40 : 20);
        List<byte[]> segments = Finish(Header(isIpv6, transport, size), frame);

        int payload = transport + 24; // TCP with one option of four bytes
        Assert.Equal(Math.Max(1, (bytes + size - 1) / size), segments.Count);
        Assert.Equal(packet[payload..], segments.SelectMany(segment => segment[payload..]));
        for (int i = 0; i < segments.Count; i++)
        {
            byte[] segment = segments[i];
            Assert.InRange(segment.Length - payload, 0, size);
            Assert.Equal(packet[..(Ethernet + tags)], segment[..(Ethernet + tags)]);
            Assert.Equal(1000u + (uint)(i * size), BinaryPrimitives.ReadUInt32BigEndian(segment.AsSpan(transport + 4)));
            bool isFirst = i == 0, isLast = i == segments.Count - 1;
            Assert.Equal(0x10 | (isFirst ? 0x80 : 0) | (isLast ? 0x09 : 0), segment[transport + 13]);
            AssertHeaders(segment, Ethernet + tags, transport, isIpv6, i);
        }
    }

    [Fact]
    public void Small_packet_only_gets_its_checksum()
    {
        byte[] frame = Packet(isIpv6: false, tags: 0, payloadBytes: 100);
        int transport = Ethernet + 20;
        Span<byte> tcp = frame.AsSpan(transport);
        ushort pseudo = (ushort)~InternetChecksum.Finish(
            InternetChecksum.Add(6 + (uint)tcp.Length, frame.AsSpan(Ethernet + 12, 8)));
        BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], pseudo);

        List<byte[]> sent = Finish(Header(false, transport, 0) with { GsoType = VnetHeader.GsoNone }, frame);

        byte[] one = Assert.Single(sent);
        Assert.Equal(0, TcpSum(one, Ethernet, transport, isIpv6: false));
    }

    [Theory]
    [InlineData(12, 0x11)]            // no IP at all
    [InlineData(14, 0x65)]            // says version 6 in a packet of version 4
    [InlineData(14, 0x46)]            // its header is longer than where TCP is said to start
    [InlineData(23, 17)]                 // UDP
    [InlineData(34 + 12, 0x40)]       // a TCP header of 16 bytes
    [InlineData(34 + 12, 0xF0)]       // or of 60, in a shorter packet
    public void Packet_that_is_not_what_its_header_says_goes_nowhere(int offset, byte wrong)
    {
        byte[] frame = Packet(isIpv6: false, tags: 0, payloadBytes: 30);
        VnetHeader header = Header(false, Ethernet + 20, 10);
        Assert.Equal(3, Finish(header, (byte[])frame.Clone()).Count);

        frame[offset] = wrong;

        Assert.Empty(Finish(header, frame));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void No_header_and_no_frame_makes_it_read_or_write_elsewhere(int seed)
    {
        var random = new Random(seed);
        byte[] scratch = new byte[NetworkPort.FrameBytesMax];
        for (int i = 0; i < 50_000; i++)
        {
            byte[] frame = Packet(random.Next(2) == 0, random.Next(3) * 4, random.Next(100));
            frame = frame[..random.Next(frame.Length + 1)];
            for (int change = random.Next(4); change > 0 && frame.Length > 0; change--)
            {
                frame[random.Next(frame.Length)] = (byte)random.Next(256);
            }

            var header = new VnetHeader(
                (byte)random.Next(4),
                (byte)(random.Next(6) | (random.Next(2) << 7)),
                (ushort)random.Next(65536),
                (ushort)random.Next(200),
                (ushort)(random.Next(8) == 0 ? random.Next(65536) : 34 + (random.Next(8) * 4)),
                (ushort)(random.Next(8) == 0 ? random.Next(65536) : 16));

            SoftwareOffload.Finish(header, frame, scratch, sent => Assert.InRange(sent.Length, 0, frame.Length));
        }
    }

    private static List<byte[]> Finish(in VnetHeader header, byte[] frame)
    {
        List<byte[]> sent = [];
        SoftwareOffload.Finish(header, frame, new byte[frame.Length], one => sent.Add(one.ToArray()));
        return sent;
    }

    private static VnetHeader Header(bool isIpv6, int transport, ushort size) => new(
        VnetHeader.NeedsChecksum,
        (byte)((isIpv6 ? VnetHeader.GsoTcp6 : VnetHeader.GsoTcp4) | VnetHeader.GsoEcn),
        0,
        size,
        (ushort)transport,
        16);

    // ACK, PSH, FIN and CWR are set; the identification is 7, the sequence number 1000.
    private static byte[] Packet(bool isIpv6, int tags, int payloadBytes)
    {
        byte[] tcp = [0x12, 0x34, 0, 7, 0, 0, 0x03, 0xE8, 0, 0, 0, 1, 0x60, 0x99, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1];
        byte[] payload = [.. Enumerable.Range(0, payloadBytes).Select(i => (byte)(i * 31))];
        ushort length = (ushort)(tcp.Length + payloadBytes);
        byte[] ip = isIpv6
            ? [0x60, 0, 0, 0, (byte)(length >> 8), (byte)length, 6, 64, .. Enumerable.Repeat((byte)0xFD, 32)]
            : [0x45, 0, 0, 0, 0, 7, 0x40, 0, 64, 6, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1];
        byte[] tag = [0x81, 0x00, 0x00, 0x64];
        byte[] type = isIpv6 ? [0x86, 0xDD] : [0x08, 0x00];
        byte[] tagBytes = [.. Enumerable.Repeat(tag, tags / 4).SelectMany(bytes => bytes)];
        return [.. new byte[12], .. tagBytes, .. type, .. ip, .. tcp, .. payload];
    }

    private static void AssertHeaders(byte[] segment, int network, int transport, bool isIpv6, int index)
    {
        Span<byte> ip = segment.AsSpan(network);
        if (isIpv6)
        {
            Assert.Equal(ip.Length - 40, BinaryPrimitives.ReadUInt16BigEndian(ip[4..]));
        }
        else
        {
            Assert.Equal(ip.Length, BinaryPrimitives.ReadUInt16BigEndian(ip[2..]));
            Assert.Equal(7 + index, BinaryPrimitives.ReadUInt16BigEndian(ip[4..]));
            Assert.Equal(0, Slow(ip[..20].ToArray()));
        }

        Assert.Equal(0, TcpSum(segment, network, transport, isIpv6));
    }

    // 0 when the checksum is right; by the definition, word by word.
    private static ushort TcpSum(byte[] segment, int network, int transport, bool isIpv6)
    {
        byte[] tcp = segment[transport..];
        byte[] addresses = isIpv6 ? segment[(network + 8)..(network + 40)] : segment[(network + 12)..(network + 20)];
        return Slow([.. addresses, 0, 6, (byte)(tcp.Length >> 8), (byte)tcp.Length, .. tcp]);
    }

    private static ushort Slow(byte[] bytes)
    {
        uint sum = 0;
        for (int i = 0; i < bytes.Length; i += 2)
        {
            sum += ((uint)bytes[i] << 8) + (i + 1 < bytes.Length ? bytes[i + 1] : 0u);
            sum = (sum & 0xFFFF) + (sum >> 16);
        }

        return (ushort)~sum;
    }
}
