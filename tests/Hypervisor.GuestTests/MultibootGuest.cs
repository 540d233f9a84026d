using System;
using System.Buffers.Binary;
using System.IO;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.GuestTests;

/// <summary>
/// A flat multiboot kernel that prints its command line, resets the machine at the first start, and ends by the
/// debug-exit port at the second.
/// </summary>
internal static class MultibootGuest
{
    private const uint LoadAddress = 0x10_0000;
    private const uint HeaderBytes = 32;
    private const uint Magic = 0x1BAD_B002, Flags = 1 << 16, BootMagic = 0x2BAD_B002;
    private const int StartedBefore = 0x30_0000; // outside the image: only the guest writes it
    private const int CommandLine = 0x10;        // in the multiboot information

    /// <summary>The kernel's file.</summary>
    public static byte[] Build()
    {
        using var code = new MemoryStream();
        Assemble().Assemble(new StreamCodeWriter(code), LoadAddress + HeaderBytes);
        byte[] file = new byte[HeaderBytes + code.Length];
        uint[] header =
        [
            Magic, Flags, unchecked(0 - Magic - Flags),
            LoadAddress, LoadAddress, 0, 0, LoadAddress + HeaderBytes,
        ];
        for (int i = 0; i < header.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(i * sizeof(uint)), header[i]);
        }

        code.ToArray().CopyTo(file, HeaderBytes);
        return file;
    }

    private static Assembler Assemble()
    {
        var c = new Assembler(32);
        Label print = c.CreateLabel();
        Label printed = c.CreateLabel();
        Label end = c.CreateLabel();
        Label halt = c.CreateLabel();
        c.cmp(eax, BootMagic);
        c.jne(halt);
        c.mov(esi, __dword_ptr[ebx + CommandLine]);
        c.mov(dx, 0x3F8);
        c.cld();
        c.Label(ref print);
        c.lodsb();
        c.test(al, al);
        c.jz(printed);
        c.@out(dx, al);
        c.jmp(print);
        c.Label(ref printed);
        c.cmp(__dword_ptr[StartedBefore], 0);
        c.jne(end);
        c.inc(__dword_ptr[StartedBefore]);
        c.mov(al, 0xFE);
        c.@out(0x64, al);
        c.jmp(halt);
        c.Label(ref end);
        c.xor(eax, eax);
        c.mov(dx, 0x501);
        c.@out(dx, al);
        c.Label(ref halt);
        c.hlt();
        c.jmp(halt);
        return c;
    }
}
