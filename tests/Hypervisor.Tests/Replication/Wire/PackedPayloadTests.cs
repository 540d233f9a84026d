using System;
using System.Buffers.Binary;
using Hypervisor.Core.Host;
using Hypervisor.Replication.Link;
using Hypervisor.Replication.Wire;
using Xunit;

namespace Hypervisor.Tests.Replication.Wire;

public sealed class PackedPayloadTests
{
    private const int BulkBytes = 5000;
    private readonly Random _random = new(8);

    public static TheoryData<Compressions> Codecs => [Compressions.Lz4, Compressions.Zstd];

    [Theory]
    [MemberData(nameof(Codecs))]
    public void What_was_packed_is_restored_to_the_byte(Compressions way)
    {
        using BlockCodec codec = Open(way);
        RamBlockMessage message = Sample(isRandom: false);

        byte[] payload = Pack(message, codec);
        byte[] plain = new byte[PackedPayload.PlainBytes(MessageKind.RamBlock, payload)];
        PackedPayload.Expand(MessageKind.RamBlock, payload, codec, plain);

        Assert.True(payload.Length < BulkBytes / 4);
        Assert.Equal(7u, BinaryPrimitives.ReadUInt32LittleEndian(plain));
        Assert.Equal(message.Bulk.ToArray(), plain[4..]);
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void What_does_not_get_smaller_stays_plain(Compressions way)
    {
        using BlockCodec codec = Open(way);

        Assert.Equal(0, PackedPayload.Pack(Sample(isRandom: true), codec, new byte[PackedPayload.BulkBytesMax]));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(4u)]
    [InlineData((1u << 20) + 5)]
    [InlineData(uint.MaxValue)]
    public void Declared_length_is_refused_before_it_is_believed(uint declared)
    {
        byte[] payload = new byte[100];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, declared);

        var error = Assert.Throws<WireFormatException>(
            () => PackedPayload.PlainBytes(MessageKind.RamBlock, payload));
        Assert.Contains(
            $"declares {declared} bytes, allowed are 5 to 1048580", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1)]
    public void Bulk_of_another_length_than_declared_is_refused(int difference)
    {
        foreach (Compressions way in (Compressions[])[Compressions.Lz4, Compressions.Zstd])
        {
            using BlockCodec codec = Open(way);
            byte[] payload = Pack(Sample(isRandom: false), codec);
            byte[] plain = new byte[4 + BulkBytes + difference];

            _ = Assert.Throws<WireFormatException>(
                () => PackedPayload.Expand(MessageKind.RamBlock, payload, codec, plain));
        }
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void Damaged_payloads_end_in_a_refusal_or_in_other_bytes_and_nothing_else(Compressions way)
    {
        using BlockCodec codec = Open(way);
        byte[] whole = Pack(Sample(isRandom: false), codec);
        for (int round = 0; round < 20_000; round++)
        {
            byte[] payload = whole[..(_random.Next(4) == 0 ? _random.Next(whole.Length + 1) : whole.Length)];
            for (int i = _random.Next(1, 8); i > 0 && payload.Length > 0; i--)
            {
                payload[_random.Next(payload.Length)] = (byte)_random.Next();
            }

            try
            {
                int length = PackedPayload.PlainBytes(MessageKind.RamBlock, payload);
                Assert.InRange(length, 5, 4 + PackedPayload.BulkBytesMax);
                PackedPayload.Expand(MessageKind.RamBlock, payload, codec, new byte[length]);
            }
            catch (WireFormatException)
            {
                // As it should be.
            }
        }
    }

    [Fact]
    public void Frames_without_bulk_are_never_packed()
    {
        byte[] frame = new byte[FrameHeader.Bytes];
        new FrameHeader(MessageKind.Heartbeat, 1, 2, 3, 4, 5, IsPacked: true).Write(frame);

        var error = Assert.Throws<WireFormatException>(() => FrameHeader.Read(frame));
        Assert.Contains("Heartbeat is packed", error.Message, StringComparison.Ordinal);
    }

    private static BlockCodec Open(Compressions way)
    {
        Assert.SkipUnless((LinkCompression.Available & way) != 0, $"no library for {way} on this host");
        return LinkCompression.Open(way, zstdLevel: 1)!;
    }

    private static byte[] Pack(RamBlockMessage message, BlockCodec codec)
    {
        byte[] packed = new byte[PackedPayload.BulkBytesMax];
        int length = PackedPayload.Pack(message, codec, packed);
        byte[] payload = new byte[8 + length];
        BinaryPrimitives.WriteInt32LittleEndian(payload, message.PayloadBytes);
        message.WriteFields(payload.AsSpan(4));
        packed.AsSpan(0, length).CopyTo(payload.AsSpan(8));
        return payload;
    }

    private RamBlockMessage Sample(bool isRandom)
    {
        byte[] bulk = new byte[BulkBytes];
        for (int i = 0; i < bulk.Length; i++)
        {
            bulk[i] = isRandom ? (byte)_random.Next() : (byte)(i / 40);
        }

        var message = new RamBlockMessage { PageCount = 7 };
        message.Attach(bulk, null);
        return message;
    }
}
