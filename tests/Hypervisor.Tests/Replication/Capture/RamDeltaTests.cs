using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Hypervisor.Core.Memory;
using Hypervisor.Replication.Capture;
using Hypervisor.Replication.Link;
using Xunit;

namespace Hypervisor.Tests.Replication.Capture;

public sealed class RamDeltaTests : IDisposable
{
    private const int Pages = 256;
    private readonly GuestRam _source = new(Pages * 4096);
    private readonly GuestRam _target = new(Pages * 4096);
    private readonly PrivateRam _shadow = new(Pages);
    private readonly RamDigest _digest = new(Pages);
    private readonly ChunkPool _pool = new(countMax: 4, chunkBytes: 16 << 10);
    private readonly List<byte[]> _sent = [];
    private readonly RamDeltaWriter _writer;

    public RamDeltaTests() => _writer = new RamDeltaWriter(_shadow, new RamDigest(_shadow.PageCount), _pool, chunk =>
    {
        _sent.Add(chunk.Content.ToArray());
        chunk.Dispose();
    });

    public void Dispose()
    {
        _source.Dispose();
        _target.Dispose();
        _shadow.Dispose();
    }

    [Fact]
    public void Changed_words_and_only_those_are_written()
    {
        Store(3, 100, 0xAB);
        Store(3, 200, 0xCD);
        WriteAll(fresh: false, 3);

        byte[] chunk = Assert.Single(_sent);
        Assert.Equal(4 + 8 + (2 * (2 + 8)), chunk.Length);
        Assert.Equal(0b1010ul, BinaryPrimitives.ReadUInt64LittleEndian(chunk.AsSpan(4)));

        _sent.Clear();
        WriteAll(fresh: false, 3);
        Assert.Empty(_sent);
    }

    [Fact]
    public void Neighbouring_zero_pages_are_one_record()
    {
        for (int page = 10; page < 14; page++)
        {
            Store(page, 0, 1);
        }

        WriteAll(fresh: false, 10, 11, 12, 13);
        _sent.Clear();
        for (int page = 10; page < 14; page++)
        {
            Store(page, 0, 0);
        }

        WriteAll(fresh: false, 10, 11, 12, 13);

        Assert.Equal(8, Assert.Single(_sent).Length);
    }

    [Fact]
    public void Fresh_page_replaces_whatever_the_standby_had()
    {
        _target.WritableBytes(5 * 4096, 4096).Fill(0x77);
        _target.WritableBytes(6 * 4096, 4096).Fill(0x77);
        _digest.Recompute(_target);
        Store(5, 64, 0x11);

        WriteAll(fresh: true, 5, 6);
        ApplyAll();

        AssertSame();
    }

    [Fact]
    public void Random_histories_arrive()
    {
        var random = new Random(11);
        for (int round = 0; round < 50; round++)
        {
            for (int i = 0; i < 60; i++)
            {
                int page = random.Next(Pages);
                if (random.Next(4) == 0)
                {
                    _source.WritableBytes(page * 4096, 4096).Clear();
                }
                else
                {
                    Store(page, random.Next(4096), (byte)random.Next());
                }
            }

            int[] all = new int[Pages];
            for (int page = 0; page < Pages; page++)
            {
                all[page] = page;
            }

            WriteAll(fresh: round == 0, all);
            ApplyAll();
            AssertSame();
        }
    }

    [Fact]
    public void Truncation_at_each_byte_is_refused_or_ends_between_two_records()
    {
        Store(1, 0, 1);
        Store(2, 4000, 2);
        WriteAll(fresh: false, 1, 2);
        byte[] chunk = Assert.Single(_sent);
        int record = 4 + 8 + 2 + 8;

        for (int length = 0; length < chunk.Length; length++)
        {
            Assert.Equal(length % record == 0, RamDelta.TryCheck(chunk.AsSpan(0, length), Pages, out _));
        }
    }

    [Theory]
    [InlineData("00010000" + "0100000000000000", "page 256 of a machine with 256")]
    [InlineData("FFFFFF3F" + "0100000000000000", "page 1073741823")]
    [InlineData("00000000" + "0000000000000000", "without a line")]
    [InlineData("00000000" + "FFFFFFFFFFFFFFFF", "end early")]
    [InlineData("00000000" + "0100000000000000" + "FF00", "needs 78 bytes, 14 are left")]
    [InlineData("00000000" + "0100000000000000" + "0000", "contradict")]
    [InlineData("00000000" + "0100000000000000" + "0102", "contradict")]
    [InlineData("00000040" + "0000000000000000", "without a line")]
    [InlineData("00000080" + "00000000", "0 zero pages")]
    [InlineData("01000080" + "00010000", "256 zero pages from page 1")]
    [InlineData("01000080" + "FFFFFFFF", "4294967295 zero pages")]
    [InlineData("000000C0" + "0100000000000000", "kind 3")]
    [InlineData("0000", "2 bytes left")]
    [InlineData("00000000" + "0100", "6 bytes left")]
    [InlineData("00000080" + "0100", "6 bytes left")]
    public void Hostile_record_is_refused_by_name(string record, string why)
    {
        Assert.False(RamDelta.TryCheck(ConvertFromDump(record), Pages, out string? refusal));
        Assert.Contains(why, refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void Random_bytes_never_harm()
    {
        var random = new Random(5);
        byte[] chunk = new byte[300];
        for (int round = 0; round < 20_000; round++)
        {
            int length = random.Next(chunk.Length);
            random.NextBytes(chunk.AsSpan(0, length));
            if (length > 4)
            {
                chunk[1] = chunk[2] = 0; // mostly pages in range, else the first check ends every round
            }

            if (RamDelta.TryCheck(chunk.AsSpan(0, length), Pages, out _))
            {
                RamDelta.Apply(chunk.AsSpan(0, length), _target, _digest);
            }
        }
    }

    [Fact]
    public void Damaged_records_are_refused_or_applied_and_never_harm()
    {
        var random = new Random(6);
        for (int page = 0; page < 8; page++)
        {
            random.NextBytes(_source.WritableBytes(page * 4096, 4096));
            _source.WritableBytes((page * 4096) + 512, 1024).Clear();
        }

        WriteAll(fresh: false, 0, 1, 2);
        byte[] whole = _sent[0];
        for (int round = 0; round < 20_000; round++)
        {
            byte[] chunk = [.. whole.AsSpan(0, random.Next(8) == 0 ? random.Next(whole.Length) : whole.Length)];
            for (int i = random.Next(1, 6); i > 0 && chunk.Length > 0; i--)
            {
                // Mostly where the masks are.
                chunk[random.Next(2) == 0 ? random.Next(chunk.Length) : random.Next(Math.Min(chunk.Length, 80))]
                    = (byte)random.Next();
            }

            if (RamDelta.TryCheck(chunk, Pages, out _))
            {
                RamDelta.Apply(chunk, _target, _digest);
            }
        }
    }

    private static byte[] ConvertFromDump(string hex) => Convert.FromHexString(hex);

    private void Store(int page, int offset, byte value) => _source.WritableBytes((page * 4096) + offset, 1)[0] = value;

    private void WriteAll(bool fresh, params int[] pages)
    {
        foreach (int page in pages)
        {
            Assert.True(_writer.TryReserve());
            if (fresh)
            {
                _writer.WriteFresh(page, _source.ReadOnlyBytes(page * 4096, 4096));
            }
            else
            {
                _writer.Write(page, _source.ReadOnlyBytes(page * 4096, 4096));
            }
        }

        _writer.Flush();
    }

    private void ApplyAll()
    {
        foreach (byte[] chunk in _sent)
        {
            Assert.True(RamDelta.TryCheck(chunk, Pages, out string? refusal), refusal);
            RamDelta.Apply(chunk, _target, _digest);
        }

        _sent.Clear();
    }

    private void AssertSame()
    {
        Assert.True(_source.ReadOnlyBytes(0, Pages * 4096).SequenceEqual(_target.ReadOnlyBytes(0, Pages * 4096)));
        var all = new RamDigest(Pages);
        all.Recompute(_source);
        Assert.Equal(all.Value, _digest.Value);
        Assert.Equal(all.Value, _writer.Digest.Value);
    }
}
