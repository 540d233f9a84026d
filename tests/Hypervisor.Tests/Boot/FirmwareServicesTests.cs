using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Text;
using Hypervisor.Backends.Block;
using Hypervisor.Core.Memory;
using Hypervisor.Devices.Bus;
using Hypervisor.Firmware;
using Hypervisor.Machine.Boot;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Boot;

public sealed class FirmwareServicesTests : IDisposable
{
    private const uint Frame = 0x7000;
    private const int Eax = 0x20, Ebx = 0x14, Ecx = 0x1C, Edx = 0x18, Esi = 0x08, Edi = 0x04;

    private readonly GuestRam _ram = new(32 << 20);
    private readonly SimDisk _disk = new(4 << 20) { IsImmediate = true };
    private readonly FakeEventLoop _loop = new();
    private readonly FakeUart _uart = new();
    private readonly PortBus _ports = new();

    public FirmwareServicesTests()
    {
        _ports.Register("uart", 0x3F8, 8, _uart, accessBytesMax: 1);
        var services = new FirmwareServices(_ram, [_disk], _ports, _loop);
        services.Attach(_ports);
        _ram.TryWrite(0x400, FirmwareImage.Build().AsSpan(0x800, 0x100));
    }

    public void Dispose()
    {
        _ram.Dispose();
        _disk.Dispose();
    }

    [Fact]
    public void Teletype_goes_to_the_serial_line()
    {
        foreach (char c in "Hi\r\n")
        {
            Call(0x10, (Eax, 0x0E00u | c));
        }

        Assert.Equal("Hi\r\n", _uart.Sent);
    }

    [Fact]
    public void A_character_at_the_cursor_shows_and_the_terminal_moves_only_when_it_must()
    {
        Call(0x10, (Eax, 0x0941), (Ecx, 1));
        Call(0x10, (Eax, 0x0200), (Edx, 0x0001));
        Call(0x10, (Eax, 0x0942), (Ecx, 1));
        Call(0x10, (Eax, 0x0200), (Edx, 0x0500));
        Call(0x10, (Eax, 0x0943), (Ecx, 1));

        Assert.Equal("AB\u001B[6;1HC", _uart.Sent);
    }

    [Fact]
    public void A_key_is_peeked_before_it_is_taken_and_waited_for_when_there_is_none()
    {
        Assert.Equal(FirmwareLayout.StatusHalt, Call(0x16, (Eax, 0)));
        _uart.Input.Enqueue((byte)'\r');

        Assert.Equal(FirmwareLayout.StatusDone, Call(0x16, (Eax, 0x0100)));
        Assert.Equal(0x1C0Du, Register(Eax));
        Assert.False(Zero);
        Assert.Equal(FirmwareLayout.StatusDone, Call(0x16, (Eax, 0)));
        Assert.Equal(0x1C0Du, Register(Eax));
        Call(0x16, (Eax, 0x0100));
        Assert.True(Zero);
    }

    [Fact]
    public void The_memory_map_is_walked_by_ebx()
    {
        List<ulong> starts = [];
        uint next = 0;
        do
        {
            Call(0x15, (Eax, 0xE820), (Ebx, next), (Ecx, 24), (Edx, 0x534D_4150), (Edi, 0x8000));
            Assert.False(Carry);
            Assert.Equal(0x534D_4150u, Register(Eax));
            starts.Add(BitConverter.ToUInt64(KernelImages.Read(_ram, 0x8000, 8)));
            next = Register(Ebx);
        }
        while (next != 0);

        Assert.Equal([0, 0x9_FC00, 0xE_0000, 0x10_0000], starts);
    }

    [Fact]
    public void Memory_sizes_agree_with_ram()
    {
        Call(0x15, (Eax, 0xE801));
        Assert.Equal(15u * 1024, Register(Eax));
        Assert.Equal(256u, Register(Ebx));
        Call(0x15, (Eax, 0x8800));
        Assert.Equal(31u * 1024, Register(Eax));
        Call(0x12);
        Assert.Equal(639u, Register(Eax));
    }

    [Fact]
    public void A_system_call_that_we_do_not_have_fails_with_86()
    {
        Call(0x15, (Eax, 0x5300));

        Assert.True(Carry);
        Assert.Equal(0x8600u, Register(Eax) & 0xFF00);
    }

    [Fact]
    public void A_block_moves_above_the_first_mebibyte()
    {
        _ram.TryWrite(0x3000, "block"u8);
        byte[] table = new byte[0x30];
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(0x12), 0x3000);
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(0x1A), 0x12_3456);
        table[0x1F] = 1; // bits 31-24 of the target
        _ram.TryWrite(0x2000, table);

        Call(0x15, (Eax, 0x8700), (Ecx, 3), (Esi, 0x2000));

        Assert.False(Carry);
        Assert.Equal("block"u8.ToArray(), KernelImages.Read(_ram, 0x112_3456, 5));
    }

    [Fact]
    public void A_packet_read_asks_again_until_the_disk_is_done()
    {
        _disk.IsImmediate = false;
        _disk.Data[(100 * 512) + 7] = 0x5A;
        WritePacket(count: 2, segment: 0x900, start: 100);

        Assert.Equal(FirmwareLayout.StatusAgain, Call(0x13, (Eax, 0x4200), (Edx, 0x80), (Esi, 0x6000)));
        Assert.Equal(FirmwareLayout.StatusAgain, Again());
        _disk.Complete(0);
        _loop.RunPosted();
        Assert.Equal(FirmwareLayout.StatusDone, Again());

        Assert.False(Carry);
        Assert.Equal(0x5A, KernelImages.Read(_ram, 0x9007, 1)[0]);
        Assert.Single(_disk.Log);
    }

    [Fact]
    public void A_geometric_write_reaches_its_sector()
    {
        _ram.TryWrite(0x9000, "written"u8);

        // Cylinder 0, head 1, sector 2 is sector 63 + 1.
        Finish(0x13, (Eax, 0x0301), (Ebx, 0x9000), (Ecx, 0x0002), (Edx, 0x0180));

        Assert.False(Carry);
        Assert.Equal("written"u8.ToArray(), _disk.Data[(64 * 512)..((64 * 512) + 7)]);
    }

    [Theory]
    [InlineData(0, 0x900, 8192UL, 0x04)]      // past the end: one sector from sector 8192 on
    [InlineData(255, 0x900, 0x7FFF_FFFF_FFFF_FFFFUL, 0x04)]
    [InlineData(255, 0x900, ulong.MaxValue, 0x04)]
    [InlineData(256, 0x900, 0UL, 0x01)]       // more than a call may move
    [InlineData(0xFFFF, 0x900, 0UL, 0x01)]
    [InlineData(255, 0x9F00, 0UL, 0x01)]      // into the VGA hole
    public void A_packet_that_asks_for_the_impossible_fails(int count, ushort segment, ulong start, byte code)
    {
        WritePacket((ushort)Math.Max(count, 1), segment, start);

        Call(0x13, (Eax, 0x4200), (Edx, 0x80), (Esi, 0x6000));

        Assert.True(Carry);
        Assert.Equal(code, (byte)(Register(Eax) >> 8));
        Assert.Empty(_disk.Log);
        Call(0x13, (Eax, 0x0100), (Edx, 0x80));
        Assert.Equal(code, (byte)(Register(Eax) >> 8));
    }

    [Fact]
    public void A_disk_error_is_told()
    {
        _disk.NextStatuses.Enqueue(BlockStatus.IoError);
        WritePacket(1, 0x900, 0);

        Finish(0x13, (Eax, 0x4200), (Edx, 0x80), (Esi, 0x6000));

        Assert.True(Carry);
        Assert.Equal(0x20u, Register(Eax) >> 8);
    }

    [Fact]
    public void A_drive_that_is_not_there_fails()
    {
        Call(0x13, (Eax, 0x4100), (Ebx, 0x55AA), (Edx, 0x81));
        Assert.True(Carry);
        Call(0x13, (Eax, 0x0201), (Ecx, 1), (Edx, 0x00));
        Assert.True(Carry);
    }

    [Fact]
    public void Extensions_and_size_are_reported()
    {
        Call(0x13, (Eax, 0x4100), (Ebx, 0x55AA), (Edx, 0x80));
        Assert.Equal(0xAA55u, Register(Ebx));
        Assert.Equal(1u, Register(Ecx));

        _ram.TryWrite(0x6000, [26, 0]);
        Call(0x13, (Eax, 0x4800), (Edx, 0x80), (Esi, 0x6000));
        Assert.False(Carry);
        Assert.Equal(8192u, KernelImages.ReadU32(_ram, 0x6010));
        Assert.Equal(512u, KernelImages.ReadU32(_ram, 0x6018) & 0xFFFF);
    }

    [Fact]
    public void The_first_bootable_sector_is_loaded_and_entered()
    {
        "boot"u8.CopyTo(_disk.Data);
        _disk.Data[510] = 0x55;
        _disk.Data[511] = 0xAA;

        Finish(0x19, (Eax, 0));

        Assert.Equal("boot"u8.ToArray(), KernelImages.Read(_ram, 0x7C00, 4));
        Assert.Equal(0x80u, Register(Edx) & 0xFF);
        Assert.Equal(0x7C00u, KernelImages.ReadU32(_ram, Frame + 0x26)); // CS:IP
    }

    [Fact]
    public void Without_a_bootable_drive_the_machine_says_so_once_and_sleeps()
    {
        Assert.Equal(FirmwareLayout.StatusHalt, Finish(0x19, (Eax, 0)));
        Assert.Equal("No bootable drive.\r\n", _uart.Sent);
    }

    [Fact]
    public void An_address_outside_ram_is_ignored()
    {
        _ports.Write(FirmwareLayout.ServicePort, 4, 0xFFFF_FFF0);
        _ports.Write(FirmwareLayout.ServicePort, 4, 0x9_FFF0);
        Assert.Empty(_uart.Sent);
    }

    [Fact]
    public void Random_frames_harm_nothing()
    {
        var random = new Random(42);
        byte[] frame = new byte[FirmwareLayout.FrameBytes];
        byte[] vectors = [0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x19, 0x1A];
        for (int i = 0; i < 20_000; i++)
        {
            random.NextBytes(frame);
            frame[FirmwareLayout.FrameVector] = vectors[random.Next(vectors.Length)];
            frame[Edx] = 0x80;
            frame[Eax + 1] = (byte)random.Next(0x60);
            _ram.TryWrite(0x5000, frame);
            _ports.Write(FirmwareLayout.ServicePort, 4, 0x5000);
            _loop.RunPosted();
        }
    }

    private bool Carry => (KernelImages.ReadU32(_ram, Frame + 0x2A) & 1) != 0;

    private bool Zero => (KernelImages.ReadU32(_ram, Frame + 0x2A) & 0x40) != 0;

    private uint Register(int offset) => KernelImages.ReadU32(_ram, Frame + (uint)offset);

    private byte Call(byte vector, params (int Offset, uint Value)[] registers)
    {
        byte[] frame = new byte[FirmwareLayout.FrameBytes];
        foreach ((int offset, uint value) in registers)
        {
            KernelImages.U32(frame, offset, value);
        }

        frame[FirmwareLayout.FrameVector] = vector;
        _ram.TryWrite(Frame, frame);
        return Again();
    }

    private byte Finish(byte vector, params (int Offset, uint Value)[] registers)
    {
        byte status = Call(vector, registers);
        for (int i = 0; i < 10 && status == FirmwareLayout.StatusAgain; i++)
        {
            _loop.RunPosted();
            status = Again();
        }

        return status;
    }

    private byte Again()
    {
        _ports.Write(FirmwareLayout.ServicePort, 4, Frame);
        return KernelImages.Read(_ram, Frame + FirmwareLayout.FrameVector + 1, 1)[0];
    }

    private void WritePacket(ushort count, ushort segment, ulong start)
    {
        byte[] packet = new byte[16];
        packet[0] = 16;
        KernelImages.U16(packet, 2, count);
        KernelImages.U16(packet, 6, segment);
        BinaryPrimitives.WriteUInt64LittleEndian(packet.AsSpan(8), start);
        _ram.TryWrite(0x6000, packet);
    }

    /// <summary>As much of a UART as the firmware uses.</summary>
    private sealed class FakeUart : IPortDevice
    {
        private readonly StringBuilder _sent = new();

        public Queue<byte> Input { get; } = new();

        public string Sent => _sent.ToString();

        public uint ReadPort(int offset, int sizeBytes) => offset switch
        {
            0 => Input.Dequeue(),
            5 => 0x60u | (Input.Count > 0 ? 1u : 0),
            _ => 0,
        };

        public void WritePort(int offset, int sizeBytes, uint value)
        {
            if (offset == 0)
            {
                _sent.Append((char)value);
            }
        }
    }
}
