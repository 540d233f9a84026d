using System;
using System.Buffers.Binary;

namespace Hypervisor.Backends.Network;

/// <summary>
/// Does to frames what their headers say is left to do, where nothing behind a backend does it: completes checksums
/// and cuts large TCP packets up.
/// </summary>
/// <remarks>
/// Spec: VIRTIO 1.2, section 5.1.6.2; RFC 9293 (TCP), RFC 791, RFC 8200, RFC 3168 (CWR). Everything comes from a
/// guest: what is not a frame as it should be is dropped, as a card does with what it cannot send.
/// </remarks>
public static class SoftwareOffload
{
    private const int EthernetBytes = 14, VlanBytes = 4, VlansMax = 2;
    private const ushort Vlan = 0x8100, ServiceVlan = 0x88A8, Ipv4 = 0x0800, Ipv6 = 0x86DD;
    private const int Ipv4BytesMin = 20, Ipv6Bytes = 40, TcpBytesMin = 20, TcpChecksumOffset = 16;
    private const int TcpFlagsOffset = 13;
    private const byte TcpProtocol = 6;
    private const byte Fin = 0x01, Push = 0x08, CongestionWindowReduced = 0x80;

    /// <summary>Takes a frame that is ready for the wire.</summary>
    public delegate void FrameSink(ReadOnlySpan<byte> frame);

    /// <summary>Completes the checksum in a frame. False: the header points outside of it.</summary>
    public static bool TryComplete(in VnetHeader header, Span<byte> frame)
    {
        int at = header.ChecksumStart + header.ChecksumOffset;
        if (header.ChecksumStart >= frame.Length || at > frame.Length - sizeof(ushort))
        {
            return false;
        }

        // The place holds the sum of the pseudo header.
        ushort checksum = InternetChecksum.Finish(InternetChecksum.Add(0, frame[header.ChecksumStart..]));
        BinaryPrimitives.WriteUInt16BigEndian(frame[at..], checksum == 0 ? ushort.MaxValue : checksum);
        return true;
    }

    /// <summary>Brings a frame into the form that a wire carries: hands on one, several, or none.</summary>
    /// <param name="header">What is left to do.</param>
    /// <param name="frame">The frame, without a header before it; is written to.</param>
    /// <param name="scratch">Room for one segment, as long as the frame.</param>
    /// <param name="sink">Where the frames go.</param>
    public static void Finish(in VnetHeader header, Span<byte> frame, Span<byte> scratch, FrameSink sink)
    {
        switch (header.GsoType & ~VnetHeader.GsoEcn)
        {
            case VnetHeader.GsoNone:
                if ((header.Flags & VnetHeader.NeedsChecksum) == 0 || TryComplete(header, frame))
                {
                    sink(frame);
                }

                break;
            case VnetHeader.GsoTcp4 or VnetHeader.GsoTcp6:
                if (TryFindHeaders(header, frame, out int network, out int transport, out int payload))
                {
                    Segment(header, frame, network, transport, payload, scratch, sink);
                }

                break;
            default:
                break; // was not offered
        }
    }

    // Where the IP header, the TCP header and the data start. False: not the packet that the header says it is.
    private static bool TryFindHeaders(
        in VnetHeader header, ReadOnlySpan<byte> frame, out int network, out int transport, out int payload)
    {
        network = EthernetBytes;
        transport = header.ChecksumStart;
        payload = 0;
        bool isIpv4 = (header.GsoType & ~VnetHeader.GsoEcn) == VnetHeader.GsoTcp4;
        if ((header.Flags & VnetHeader.NeedsChecksum) == 0 || header.SegmentBytes == 0
            || header.ChecksumOffset != TcpChecksumOffset || frame.Length < EthernetBytes)
        {
            return false;
        }

        ushort type = BinaryPrimitives.ReadUInt16BigEndian(frame[12..]);
        for (int i = 0; i < VlansMax && type is Vlan or ServiceVlan; i++)
        {
            network += VlanBytes;
            if (frame.Length < network)
            {
                return false;
            }

            type = BinaryPrimitives.ReadUInt16BigEndian(frame[(network - 2)..]);
        }

        int networkBytesMin = isIpv4 ? Ipv4BytesMin : Ipv6Bytes;
        if (type != (isIpv4 ? Ipv4 : Ipv6) || transport < network + networkBytesMin
            || transport > frame.Length - TcpBytesMin)
        {
            return false;
        }

        // IPv4: the header's own length leads there. IPv6: extension headers lie between; the guest says how many.
        if (isIpv4 && (network + ((frame[network] & 15) * 4) != transport || frame[network + 9] != TcpProtocol))
        {
            return false;
        }

        int tcpBytes = (frame[transport + 12] >> 4) * 4;
        payload = transport + tcpBytes;
        return frame[network] >> 4 == (isIpv4 ? 4 : 6) && tcpBytes >= TcpBytesMin && payload <= frame.Length;
    }

    private static void Segment(
        in VnetHeader header,
        ReadOnlySpan<byte> frame,
        int network,
        int transport,
        int payload,
        Span<byte> scratch,
        FrameSink sink)
    {
        uint sequence = BinaryPrimitives.ReadUInt32BigEndian(frame[(transport + 4)..]);
        byte flags = frame[transport + TcpFlagsOffset];
        frame[..payload].CopyTo(scratch);
        int at = payload;
        ushort number = 0;
        do
        {
            int count = Math.Min(header.SegmentBytes, frame.Length - at);
            bool isLast = at + count == frame.Length;
            Span<byte> segment = scratch[..(payload + count)];
            frame.Slice(at, count).CopyTo(segment[payload..]);

            byte segmentFlags = isLast ? flags : (byte)(flags & ~(Fin | Push));
            segmentFlags = number == 0 ? segmentFlags : (byte)(segmentFlags & ~CongestionWindowReduced);
            segment[transport + TcpFlagsOffset] = segmentFlags;
            BinaryPrimitives.WriteUInt32BigEndian(segment[(transport + 4)..], sequence + (uint)(at - payload));
            WriteNetworkHeader(frame, segment, network, number);
            WriteTcpChecksum(segment, network, transport);
            sink(segment);
            at += count;
            number++;
        }
        while (at < frame.Length);
    }

    private static void WriteNetworkHeader(ReadOnlySpan<byte> frame, Span<byte> segment, int network, ushort number)
    {
        Span<byte> ip = segment[network..];
        if (ip[0] >> 4 == 6)
        {
            BinaryPrimitives.WriteUInt16BigEndian(ip[4..], (ushort)(ip.Length - Ipv6Bytes));
            return;
        }

        ushort identification = BinaryPrimitives.ReadUInt16BigEndian(frame[(network + 4)..]);
        BinaryPrimitives.WriteUInt16BigEndian(ip[2..], (ushort)ip.Length);
        BinaryPrimitives.WriteUInt16BigEndian(ip[4..], (ushort)(identification + number));
        BinaryPrimitives.WriteUInt16BigEndian(ip[10..], 0);
        int headerBytes = (ip[0] & 15) * 4;
        BinaryPrimitives.WriteUInt16BigEndian(
            ip[10..], InternetChecksum.Finish(InternetChecksum.Add(0, ip[..headerBytes])));
    }

    private static void WriteTcpChecksum(Span<byte> segment, int network, int transport)
    {
        Span<byte> tcp = segment[transport..];
        bool isIpv6 = segment[network] >> 4 == 6;
        ReadOnlySpan<byte> addresses = isIpv6 ? segment.Slice(network + 8, 32) : segment.Slice(network + 12, 8);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[TcpChecksumOffset..], 0);
        uint sum = InternetChecksum.Add(TcpProtocol + (uint)tcp.Length, addresses);
        ushort checksum = InternetChecksum.Finish(InternetChecksum.Add(sum, tcp));
        BinaryPrimitives.WriteUInt16BigEndian(tcp[TcpChecksumOffset..], checksum);
    }
}
