using System.IO;
using System.Text;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Guest;

/// <summary>
/// A disk whose boot sector prints through INT 10h, reads the next sector through INT 13h and its extensions, prints
/// the text that is there, and ends by the debug-exit port.
/// </summary>
public static class BootSectorGuest
{
    /// <summary>What the boot sector prints first.</summary>
    public const string Greeting = "boot sector runs\r\n";

    /// <summary>What it prints from sector 1.</summary>
    public const string SectorText = "sector one was read\r\n";

    private const int DiskBytes = 64 << 10;
    private const int SectorBytes = 512;
    private const ushort Origin = 0x7C00;
    private const ushort Buffer = 0x8000;
    private const ushort DebugExit = 0x501;
    private const int PacketOffset = 0x1A0;   // in the sector: the INT 13h packet
    private const int GreetingOffset = 0x1C0;

    /// <summary>The disk image.</summary>
    public static byte[] BuildDisk()
    {
        byte[] disk = new byte[DiskBytes];
        using var code = new MemoryStream();
        Assemble().Assemble(new StreamCodeWriter(code), Origin);
        if (code.Length > PacketOffset)
        {
            throw new InvalidDataException($"the boot sector's code has {code.Length} bytes, {PacketOffset} are free");
        }

        code.ToArray().CopyTo(disk, 0);

        // Packet: size, 0, count u16, buffer offset u16, segment u16, first sector u64.
        byte[] packet = [16, 0, 1, 0, 0, Buffer >> 8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        packet.CopyTo(disk, PacketOffset);
        Encoding.ASCII.GetBytes(Greeting + "\0").CopyTo(disk, GreetingOffset);
        disk[510] = 0x55;
        disk[511] = 0xAA;
        Encoding.ASCII.GetBytes(SectorText + "\0").CopyTo(disk, SectorBytes);
        return disk;
    }

    private static Assembler Assemble()
    {
        var c = new Assembler(16);
        Label print = c.CreateLabel();
        Label character = c.CreateLabel();
        Label printed = c.CreateLabel();
        Label exit = c.CreateLabel();
        Label halt = c.CreateLabel();
        c.xor(ax, ax);
        c.mov(ds, ax);
        c.mov(es, ax);
        c.mov(ss, ax);
        c.mov(sp, Origin);
        c.sti();
        c.mov(si, Origin + GreetingOffset);
        c.call(print);

        c.mov(ah, 0x41); // are there extensions?
        c.mov(bx, 0x55AA);
        c.@int(0x13);
        c.mov(cl, 1); // debug-exit code of the failure
        c.jc(exit);
        c.mov(ah, 0x42);
        c.mov(si, Origin + PacketOffset);
        c.@int(0x13);
        c.mov(cl, 2);
        c.jc(exit);
        c.mov(si, unchecked((short)Buffer));
        c.call(print);
        c.mov(cl, 0);
        c.Label(ref exit);
        c.mov(al, cl);
        c.mov(dx, DebugExit);
        c.@out(dx, al);
        c.Label(ref halt);
        c.hlt();
        c.jmp(halt);

        // DS:SI: text.
        c.Label(ref print);
        c.cld();
        c.Label(ref character);
        c.lodsb();
        c.test(al, al);
        c.jz(printed);
        c.mov(ah, 0x0E);
        c.mov(bx, 7);
        c.@int(0x10);
        c.jmp(character);
        c.Label(ref printed);
        c.ret();
        return c;
    }
}
