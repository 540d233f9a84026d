using System;
using System.Buffers.Binary;
using System.Text;
using Hypervisor.Devices.Chipset;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

public sealed class FwCfgTests : IDisposable
{
    private const ulong Descriptor = 0x1000;
    private const ulong Target = 0x2000;

    private readonly DeviceHarness _harness = new();
    private readonly PortDriver _io = new();
    private readonly FwCfg _fwCfg;

    public FwCfgTests()
    {
        _fwCfg = new FwCfg(_harness.Context);
        _fwCfg.Attach(_io.Ports);
        _fwCfg.Add(0x05, [2, 0]);
        _fwCfg.AddFile("etc/first", [1, 2, 3]);
        _fwCfg.AddFile("opt/second", new byte[5_000]);
    }

    public void Dispose() => _harness.Dispose();

    [Fact]
    public void Signature_and_features_are_qemus()
    {
        Assert.Equal("QEMU", Encoding.ASCII.GetString(ReadItem(0x00, 4)));
        Assert.Equal([3, 0, 0, 0], ReadItem(0x01, 4));
        Assert.Equal([2, 0], ReadItem(0x05, 2));
        Assert.Equal("QEMU CFG", Encoding.ASCII.GetString(
            [.. BitConverter.GetBytes(_io.InDoubleword(0x514)), .. BitConverter.GetBytes(_io.InDoubleword(0x518))]));
        Assert.Equal((byte)'G', _io.In(0x51B));
    }

    [Fact]
    public void Directory_lists_files_and_keys()
    {
        byte[] directory = ReadItem(0x19, 4 + (2 * 64));

        Assert.Equal(2, BinaryPrimitives.ReadInt32BigEndian(directory));
        Span<byte> second = directory.AsSpan(4 + 64);
        Assert.Equal(5_000, BinaryPrimitives.ReadInt32BigEndian(second));
        Assert.Equal(0x21, BinaryPrimitives.ReadUInt16BigEndian(second[4..]));
        Assert.Equal("opt/second", Encoding.ASCII.GetString(second[8..]).TrimEnd('\0'));
        Assert.Equal([1, 2, 3], ReadItem(0x20, 3));
    }

    [Fact]
    public void Past_the_end_and_unknown_items_read_as_zero()
    {
        Assert.Equal([1, 2, 3, 0, 0], ReadItem(0x20, 5));
        Assert.Equal([0], ReadItem(0x3FFF, 1));
        Assert.Equal([(byte)'Q'], ReadItem(0x4000, 1)); // the write bit is no part of the key
    }

    [Fact]
    public void Data_cannot_be_written()
    {
        _io.OutWord(0x510, 0x20);
        _io.Out(0x511, 9);

        Assert.Equal([1, 2, 3], ReadItem(0x20, 3));
    }

    [Fact]
    public void Dma_selects_reads_and_fills_with_zero()
    {
        _harness.Ram.TryWrite(Target, [9, 9, 9, 9, 9, 9]);

        Assert.Equal(0u, RunDma(0x0020_000A, length: 5, Target));

        byte[] bytes = new byte[6];
        _harness.Ram.TryRead(Target, bytes);
        Assert.Equal([1, 2, 3, 0, 0, 9], bytes);
    }

    [Fact]
    public void Dma_skips_and_goes_on_where_it_was()
    {
        Assert.Equal(0u, RunDma(0x0020_000C, length: 1, target: 0)); // select, skip
        Assert.Equal(0u, RunDma(0x0000_0002, length: 2, Target));

        byte[] bytes = new byte[2];
        _harness.Ram.TryRead(Target, bytes);
        Assert.Equal([2, 3], bytes);
        Assert.Equal(0u, RunDma(0x0000_0004, length: uint.MaxValue, target: 0));
    }

    [Theory]
    [InlineData(0x0020_0018u, 3u, Target)]              // write
    [InlineData(0x0020_000Au, 3u, 0xFFFF_FFFF_F000ul)]  // no RAM there
    [InlineData(0x0020_000Au, 3u, ulong.MaxValue)]
    [InlineData(0x0020_000Au, 0xFFFF_FFFFu, Target)]    // endless zeroes
    [InlineData(0x0020_000Au, 16u, 0x9_FFF8ul)]         // into the hole
    public void Dma_refuses_what_it_cannot_do(uint control, uint length, ulong target)
    {
        Assert.Equal(1u, RunDma(control, length, target));
        Assert.Equal([1, 2, 3], ReadItem(0x20, 3));
    }

    [Fact]
    public void Dma_descriptor_outside_ram_does_nothing()
    {
        _io.OutDoubleword(0x514, 0xFFFF_FFFF);
        _io.OutDoubleword(0x518, 0xFFFF_FFFF);

        Assert.Equal([1, 2, 3], ReadItem(0x20, 3));
    }

    [Fact]
    public void Reset_selects_the_signature()
    {
        _io.OutWord(0x510, 0x20);
        _fwCfg.Reset();

        Assert.Equal((byte)'Q', _io.In(0x511));
    }

    [Fact]
    public void Checkpoint_carries_every_field() => CheckpointAssert.RoundTrips(
        () => new FwCfg(_harness.Context), fwCfg =>
        {
            var io = new PortDriver();
            fwCfg.Attach(io.Ports);
            io.OutWord(0x510, 0x01);
            io.In(0x511);
            io.OutDoubleword(0x514, 0x0100_0000);
        });

    private byte[] ReadItem(ushort key, int lengthBytes)
    {
        _io.OutWord(0x510, key);
        byte[] bytes = new byte[lengthBytes];
        for (int i = 0; i < lengthBytes; i++)
        {
            bytes[i] = _io.In(0x511);
        }

        return bytes;
    }

    // Runs a descriptor and returns what is left in its control field.
    private uint RunDma(uint control, uint length, ulong target)
    {
        byte[] descriptor = new byte[16];
        BinaryPrimitives.WriteUInt32BigEndian(descriptor, control);
        BinaryPrimitives.WriteUInt32BigEndian(descriptor.AsSpan(4), length);
        BinaryPrimitives.WriteUInt64BigEndian(descriptor.AsSpan(8), target);
        _harness.Ram.TryWrite(Descriptor, descriptor);
        _io.OutDoubleword(0x514, 0);
        _io.OutDoubleword(0x518, BinaryPrimitives.ReverseEndianness((uint)Descriptor));
        _harness.Ram.TryRead(Descriptor, descriptor);
        return BinaryPrimitives.ReadUInt32BigEndian(descriptor);
    }
}
