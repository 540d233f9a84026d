using System;
using System.Collections.Generic;
using Hypervisor.Core.State;
using Hypervisor.Replication.Capture;
using Xunit;

namespace Hypervisor.Tests.Replication.Capture;

public sealed class SectionCaptureTests
{
    private const int HeaderBytes = CheckpointSection.HeaderBytes;

    [Fact]
    public void Every_component_arrives()
    {
        byte[] saved = Save(new Part(1) { Value = 10 }, new Part(2) { Value = 20 });
        Part[] loaded = [new(1), new(2)];

        SectionCapture.Load(loaded, saved);

        Assert.Equal(10, loaded[0].Value);
        Assert.Equal(20, loaded[1].Value);
    }

    [Fact]
    public void Missing_section_is_refused()
        => Refuses("0 bytes left where section PART is due", Save(new Part(1)), new Part(1), new Part(2));

    [Fact]
    public void Unknown_section_is_refused()
        => Refuses(
            "24 bytes after its last section", Save(new Part(1), new Part(2), new Part(3)), new Part(1), new Part(2));

    [Fact]
    public void Repeated_section_is_refused()
        => Refuses("section PART.1 where PART.2 is due", Save(new Part(1), new Part(1)), new Part(1), new Part(2));

    [Fact]
    public void Rule_43_newer_section_is_refused()
        => Refuses("version 2, this build reads up to 1", Save(new Part(1, version: 2)), new Part(1));

    [Fact]
    public void Bytes_left_over_are_refused()
        => Refuses("1 bytes after its last section", [.. Save(new Part(1)), 0], new Part(1));

    [Fact]
    public void Truncation_at_each_byte_and_flip_of_each_bit_are_refused()
    {
        byte[] saved = Save(new Part(1) { Value = 3 }, new Part(2) { Value = 4 });
        for (int length = 0; length < saved.Length; length++)
        {
            Refuses("", saved[..length], new Part(1), new Part(2));
        }

        for (int bit = 0; bit < saved.Length * 8; bit++)
        {
            byte[] damaged = (byte[])saved.Clone();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            Refuses("", damaged, new Part(1), new Part(2));
        }
    }

    [Fact]
    public void State_that_does_not_fit_is_refused_when_saving()
        => Assert.Throws<StateFormatException>(() => SectionCapture.Save([new Part(1)], new byte[HeaderBytes + 7]));

    private static void Refuses(string why, byte[] saved, params Part[] parts)
    {
        StateFormatException refusal = Assert.Throws<StateFormatException>(() => SectionCapture.Load(parts, saved));
        Assert.Contains(why, refusal.Message, StringComparison.Ordinal);
    }

    private static byte[] Save(params IReadOnlyList<ICheckpointed> parts)
    {
        byte[] buffer = new byte[1024];
        return buffer[..SectionCapture.Save(parts, buffer)];
    }

    private sealed class Part(ushort instance, ushort version = 1) : ICheckpointed
    {
        private long _value;

        public long Value { get => _value; init => _value = value; }

        public SectionId Section => new(0x5452_4150, instance, version); // "PART"

        public void Transfer(ref StateCodec state) => state.I64(ref _value);
    }
}
