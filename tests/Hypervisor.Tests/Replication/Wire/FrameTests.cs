using System;
using System.Buffers.Binary;
using System.Linq;
using System.Security.Cryptography;
using Hypervisor.Backends.Block;
using Hypervisor.Core.State;
using Hypervisor.Replication.Wire;
using Xunit;

namespace Hypervisor.Tests.Replication.Wire;

/// <summary>Every message kind goes over the wire whole, and nothing damaged comes through.</summary>
public sealed class FrameTests
{
    private static readonly byte[] s_bulk = [1, 2, 3, 4, 5];

    public static TheoryData<int> Kinds() => new(Enumerable.Range(1, (int)MessageKind.Abort));

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Message_comes_back_as_it_was_sent(int kind)
    {
        Message sent = Sample((MessageKind)kind);

        Message received = Decode(Encode(sent));

        Assert.Equal(sent.Kind, received.Kind);
        Assert.Equal(sent.Incarnation, received.Incarnation);
        Assert.Equal(sent.Epoch, received.Epoch);
        Assert.Equal(Encode(sent), Encode(received));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Frame_cut_short_at_any_byte_is_refused(int kind)
    {
        byte[] frame = Encode(Sample((MessageKind)kind));

        for (int length = 0; length < frame.Length; length++)
        {
            Assert.Throws<WireFormatException>(() => Decode(frame[..length]));
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Frame_with_any_bit_flipped_is_refused(int kind)
    {
        byte[] frame = Encode(Sample((MessageKind)kind));

        for (int bit = 0; bit < frame.Length * 8; bit++)
        {
            frame[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Throws<WireFormatException>(() => Decode(frame));
            frame[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Payload_that_is_short_or_long_is_refused_though_its_CRC_is_right(int kind)
    {
        Message message = Sample((MessageKind)kind);
        byte[] payload = Encode(message)[FrameHeader.Bytes..];
        bool isOpenEnded = message.Kind is MessageKind.RamBlock or MessageKind.Section or MessageKind.Output;

        for (int length = 0; length < payload.Length + 3; length++)
        {
            byte[] changed = new byte[length];
            payload.AsSpan(0, Math.Min(length, payload.Length)).CopyTo(changed);
            if (length != payload.Length && !(isOpenEnded && length >= message.FieldBytes))
            {
                Assert.Throws<WireFormatException>(() => Decode(Encode(new Raw(message.Kind, changed))));
            }
        }
    }

    [Theory]
    [InlineData(16, "stage time")]
    [InlineData(20, "journal time")]
    [InlineData(24, "apply time")]
    public void Time_of_more_than_an_hour_is_refused(int offset, string field)
    {
        byte[] payload = Encode(Sample(MessageKind.EpochAck))[FrameHeader.Bytes..];
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(offset), StandbyTimes.MicrosMax + 1);

        string text = Assert.Throws<WireFormatException>(
            () => Decode(Encode(new Raw(MessageKind.EpochAck, payload)))).Message;

        Assert.Equal($"EpochAck {field} is 3600000001 µs, at most 3600000000 is allowed", text);
    }

    [Theory]
    [InlineData(-1, 0)]
    [InlineData(1999, 1)]
    [InlineData(long.MaxValue, StandbyTimes.MicrosMax)]
    public void Time_is_sent_in_microseconds_and_never_out_of_bounds(long nanos, uint micros)
        => Assert.Equal(micros, StandbyTimes.Micros(nanos));

    [Fact]
    public void Rule_33_header_refusals_name_the_field_and_both_values()
    {
        byte[] frame = Encode(Sample(MessageKind.Heartbeat));
        byte[] version = (byte[])frame.Clone();
        version[4] = 9;
        byte[] magic = (byte[])frame.Clone();
        magic[0] = (byte)'G';

        Assert.Equal(
            $"frame protocol version is 0x9, must be 0x{FrameHeader.ProtocolVersion:X}",
            Assert.Throws<WireFormatException>(() => FrameHeader.Read(version)).Message);
        string text = Assert.Throws<WireFormatException>(() => FrameHeader.Read(magic)).Message;
        Assert.StartsWith("frame magic is 0x", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(22)]
    [InlineData(255)]
    public void Unknown_kind_is_refused(byte kind)
        => Assert.Contains($"kind is {kind}", Refusal(header => header[6] = kind), StringComparison.Ordinal);

    [Fact]
    public void Rule_43_flags_that_are_not_known_are_refused()
        => Assert.Contains("flags is 0x80", Refusal(header => header[7] = 0x80), StringComparison.Ordinal);

    [Fact]
    public void Payload_longer_than_its_kind_allows_is_refused_before_it_is_read()
        => Assert.Contains("at most 4096", Refusal(header => header[34] = 1), StringComparison.Ordinal);

    [Fact]
    public void Frame_out_of_order_is_refused()
    {
        var encoder = new FrameEncoder();
        Encode(Sample(MessageKind.Heartbeat), encoder);
        byte[] second = Encode(Sample(MessageKind.Heartbeat), encoder);

        Assert.Equal(
            "frame sequence is 1, must be 0",
            Assert.Throws<WireFormatException>(() => new FrameDecoder().DecodeHeader(second)).Message);
    }

    [Fact]
    public void Read_is_no_disk_operation_to_replicate()
    {
        byte[] fields = Encode(Sample(MessageKind.DiskWrite))[FrameHeader.Bytes..];
        fields[2] = (byte)BlockOperation.Read;

        Assert.Throws<WireFormatException>(() => Decode(Encode(new Raw(MessageKind.DiskWrite, fields))));
    }

    [Fact]
    public void Text_is_cut_to_what_a_field_holds()
    {
        string fit = WireWriter.Fit(new string('ü', 300));

        Assert.InRange(WireWriter.TextBytes(fit), 200, 1 + MessageLimits.TextBytesMax);
    }

    [Fact]
    public void Released_message_gives_its_buffer_back_once()
    {
        var owner = new CountingOwner();
        Message message = new SectionMessage();
        message.Attach(s_bulk, owner);

        message.Release();
        message.Release();

        Assert.Equal(1, owner.Disposals);
    }

    internal static Message Sample(MessageKind kind)
    {
        Message message = kind switch
        {
            MessageKind.Hello => new HelloMessage
            {
                Node = Guid.NewGuid(),
                Generation = 3,
                LeaseNanos = 5,
                EpochsInFlightMax = 2,
                Machine = new MachineIdentity(
                    Guid.NewGuid(), Guid.NewGuid(), "pc-1", "x86-64-v3", 1 << 20, [new("vda", 4096)], [new(7, 1, 2)]),
            },
            MessageKind.Welcome => new WelcomeMessage
            {
                Node = Guid.NewGuid(),
                StagedBytesMax = 9,
                TakeoverNanos = 8,
                IsAckDurable = true,
                Point = new ReplicaPoint(6, 7),
                HasRam = true,
                WasPrimary = true,
                Doubtful = [new DiskRange(1, 2, 3), new DiskRange(4, 5, 6)],
            },
            MessageKind.Refusal => new RefusalMessage { Field = "RAM", PrimaryValue = "1", StandbyValue = "2" },
            MessageKind.RamBlock => new RamBlockMessage { PageCount = 2 },
            MessageKind.DiskBlock => new DiskBlockMessage
            {
                Disk = 1,
                IsZero = false,
                OffsetBytes = 512,
                LengthBytes = 5,
            },
            MessageKind.DiskDigest => new DiskDigestMessage
            {
                Range = new DiskRange(1, 512, 5),
                Digest = SHA256.HashData(s_bulk),
            },
            MessageKind.DiskAnswer => new DiskAnswerMessage { Range = new DiskRange(1, 512, 5), IsSame = true },
            MessageKind.Scrub => new ScrubMessage { Range = new DiskRange(1, 4096, 8192), Order = 3 },
            MessageKind.DiskWrite => new DiskWriteMessage
            {
                Disk = 1,
                Operation = BlockOperation.Write,
                Order = 4,
                OffsetBytes = 512,
                LengthBytes = 5,
            },
            MessageKind.Section => new SectionMessage(),
            MessageKind.Output => new OutputMessage { Stream = 1, OffsetBytes = 77 },
            MessageKind.EpochEnd => new EpochEndMessage
            {
                Totals = new EpochTotals(1, 2, 3, 4, 5, 6, 7),
                SentNanos = 7,
                ReleasedEpoch = 8,
                SettledEpoch = 6,
            },
            MessageKind.EpochAck => new EpochAckMessage
            {
                EchoNanos = 1,
                AppliedEpoch = 2,
                Times = new StandbyTimes(3, 4, StandbyTimes.MicrosMax),
            },
            MessageKind.FullCopyDone => new FullCopyDoneMessage
            {
                Messages = 1,
                CopiedBytes = 2,
                StreamDigest = 3,
                ContentDigests = [4, 5],
            },
            MessageKind.FullCopyAck => new FullCopyAckMessage(),
            MessageKind.Heartbeat => new HeartbeatMessage { SentNanos = 1, ReleasedEpoch = 3, SettledEpoch = 2 },
            MessageKind.HeartbeatReply => new HeartbeatReplyMessage
            {
                EchoNanos = 1,
                CommittedEpoch = 2,
                AppliedEpoch = 3,
            },
            MessageKind.PlannedEnd => new PlannedEndMessage { Reason = "shutdown" },
            MessageKind.PlannedEndAck => new PlannedEndAckMessage(),
            MessageKind.SwitchOver => new SwitchOverMessage { Step = SwitchOverStep.Refused, Reason = "not in sync" },
            MessageKind.Abort => new AbortMessage { Reason = "no space left" },
        };
        if (kind is MessageKind.RamBlock or MessageKind.DiskBlock or MessageKind.DiskWrite or MessageKind.Section
            or MessageKind.Output or MessageKind.Scrub)
        {
            message.Attach(s_bulk, null);
        }

        message.Incarnation = 0x1122_3344_5566_7788;
        message.Epoch = 42;
        return message;
    }

    private static byte[] Encode(Message message, FrameEncoder? encoder = null)
    {
        byte[] frame = new byte[FrameHeader.Bytes + message.PayloadBytes];
        int head = (encoder ?? new FrameEncoder()).EncodeHead(message, frame);
        message.Bulk.Span.CopyTo(frame.AsSpan(head));
        return frame;
    }

    private static Message Decode(byte[] frame)
    {
        Span<byte> head = frame.AsSpan(0, Math.Min(frame.Length, FrameHeader.Bytes));
        FrameHeader header = new FrameDecoder().DecodeHeader(head);
        return FrameDecoder.DecodePayload(header, frame.AsMemory(FrameHeader.Bytes), null);
    }

    /// <summary>The refusal of a header that was changed and got a right CRC again.</summary>
    private static string Refusal(Action<byte[]> change)
    {
        byte[] frame = Encode(Sample(MessageKind.Heartbeat));
        change(frame);
        uint crc = ~Crc32C.Append(Crc32C.Start, frame.AsSpan(0, 40));
        BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(40), crc);
        return Assert.Throws<WireFormatException>(() => FrameHeader.Read(frame)).Message;
    }

    private sealed class Raw(MessageKind kind, byte[] payload) : Message
    {
        public override MessageKind Kind => kind;

        public override int FieldBytes => payload.Length;

        public override void WriteFields(Span<byte> target) => payload.CopyTo(target);
    }

    private sealed class CountingOwner : IDisposable
    {
        public int Disposals { get; private set; }

        public void Dispose() => Disposals++;
    }
}
