using System.IO;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.GuestTests;

/// <summary>
/// A boot sector that counts its starts in sector 1, prints the count, and resets the machine in another way each
/// time: keyboard controller, port CF9, port 92, triple fault. The fifth start ends by the debug-exit port.
/// </summary>
internal static class ResetDisk
{
    private const int SectorBytes = 512;
    private const int Origin = 0x7C00, Buffer = 0x8000;
    private const int PacketOffset = 0x1A0, EmptyIdtOffset = 0x1C0;

    /// <summary>The disk image.</summary>
    public static byte[] Build()
    {
        byte[] disk = new byte[64 * SectorBytes];
        using var code = new MemoryStream();
        Assemble().Assemble(new StreamCodeWriter(code), Origin);
        code.ToArray().CopyTo(disk, 0);
        byte[] packet = [16, 0, 1, 0, 0, Buffer >> 8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        packet.CopyTo(disk, PacketOffset);
        (disk[510], disk[511]) = (0x55, 0xAA);
        return disk;
    }

    private static Assembler Assemble()
    {
        var c = new Assembler(16);
        Label halt = c.CreateLabel();
        Label[] ways = [c.CreateLabel(), c.CreateLabel(), c.CreateLabel(), c.CreateLabel()];
        c.xor(ax, ax);
        c.mov(ds, ax);
        c.mov(es, ax);
        c.mov(ss, ax);
        c.mov(sp, Origin);
        c.sti();
        CallDisk(c, 0x42, halt);
        c.inc(__byte_ptr[Buffer]);
        CallDisk(c, 0x43, halt);
        c.mov(al, __byte_ptr[Buffer]);
        c.add(al, (sbyte)'0');
        c.mov(ah, 0x0E);
        c.mov(bx, 7);
        c.@int(0x10);

        for (int i = 0; i < ways.Length; i++)
        {
            c.cmp(__byte_ptr[Buffer], i + 1);
            c.je(ways[i]);
        }

        Out(c, 0x501, 0);
        c.jmp(halt);
        c.Label(ref ways[0]);
        Out(c, 0x64, 0xFE);
        c.jmp(halt);
        c.Label(ref ways[1]);
        Out(c, 0xCF9, 2);
        Out(c, 0xCF9, 6);
        c.jmp(halt);
        c.Label(ref ways[2]);
        Out(c, 0x92, 3);
        c.jmp(halt);
        c.Label(ref ways[3]);
        c.lidt(__[Origin + EmptyIdtOffset]);
        c.int3();
        c.Label(ref halt);
        c.hlt();
        c.jmp(halt);
        return c;
    }

    private static void CallDisk(Assembler c, sbyte function, Label failed)
    {
        c.mov(ah, function);
        c.mov(al, 0);
        c.mov(si, Origin + PacketOffset);
        c.@int(0x13);
        c.jc(failed);
    }

    private static void Out(Assembler c, short port, byte value)
    {
        c.mov(dx, port);
        c.mov(al, unchecked((sbyte)value));
        c.@out(dx, al);
    }
}
