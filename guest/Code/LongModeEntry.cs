using System.IO;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Guest.Code;

/// <summary>The 32-bit PVH entry: identity map of 4 GiB, long mode, jump to the 64-bit code.</summary>
/// <remarks>Spec: SDM volume 3, 10.8.5 "Initializing IA-32e Mode".</remarks>
internal static class LongModeEntry
{
    private const uint GdtOffset = 0xC0; // behind the code, before LongEntry
    private const int Cr4PhysicalAddressExtension = 1 << 5;
    private const int Cr4SseEnable = 3 << 9;
    private const uint EferMsr = 0xC000_0080;
    private const uint EferLongMode = 1 << 8;

    /// <summary>Bytes from <see cref="GuestMemory.Entry"/> up to <see cref="GuestMemory.LongEntry"/>.</summary>
    public static byte[] Assemble()
    {
        var c = new Assembler(32);
        c.cli();
        c.cld();
        c.mov(esp, GuestMemory.StackTop);
        c.mov(__dword_ptr[GuestMemory.StartInfo], ebx);
        c.mov(__dword_ptr[GuestMemory.StartInfo + 4], 0);
        BuildPageTables(c);
        c.lgdt(__[GuestMemory.Entry + GdtOffset]);
        c.mov(eax, GuestMemory.PageTables);
        c.mov(cr3, eax);
        c.mov(eax, cr4);
        c.or(eax, Cr4PhysicalAddressExtension | Cr4SseEnable);
        c.mov(cr4, eax);
        c.mov(ecx, EferMsr);
        c.rdmsr();
        c.or(eax, EferLongMode);
        c.wrmsr();
        c.mov(eax, cr0);
        c.or(eax, unchecked((int)0x8000_0000));
        c.mov(cr0, eax);
        c.AddInstruction(Instruction.CreateBranch(Iced.Intel.Code.Jmp_ptr1632, 0x08, GuestMemory.LongEntry));
        return WithGdt(c);
    }

    private static void BuildPageTables(Assembler c)
    {
        const uint PresentWritable = 3;
        const uint LargePage = 0x80;
        const uint PointerTable = GuestMemory.PageTables + 0x1000;
        const uint Directories = GuestMemory.PageTables + 0x2000;
        const int Entries = 4 * 512; // 4 GiB in pages of 2 MiB

        Label next = c.CreateLabel();
        c.mov(edi, GuestMemory.PageTables);
        c.xor(eax, eax);
        c.mov(ecx, 0x2000 / 4);
        c.rep.stosd();
        c.mov(__dword_ptr[GuestMemory.PageTables], PointerTable | PresentWritable);
        for (uint i = 0; i < 4; i++)
        {
            c.mov(__dword_ptr[PointerTable + (i * 8)], (Directories + (i * 0x1000)) | PresentWritable);
        }

        c.mov(eax, PresentWritable | LargePage);
        c.mov(ecx, Entries);
        c.Label(ref next);
        c.mov(__dword_ptr[edi], eax); // edi is at the directories now
        c.mov(__dword_ptr[edi + 4], 0);
        c.add(edi, 8);
        c.add(eax, 2 << 20);
        c.dec(ecx);
        c.jnz(next);
    }

    // At GdtOffset: the operand of LGDT (limit u16, base u32), then three descriptors: null, 64-bit code, data.
    private static byte[] WithGdt(Assembler c)
    {
        byte[] image = new byte[GuestMemory.LongEntry - GuestMemory.Entry];
        using var stream = new MemoryStream(image);
        c.Assemble(new StreamCodeWriter(stream), GuestMemory.Entry);
        if (stream.Position > GdtOffset)
        {
            throw new InvalidDataException($"the entry code has {stream.Position} bytes, {GdtOffset} are free");
        }

        stream.Position = GdtOffset;
        using var writer = new BinaryWriter(stream);
        writer.Write((ushort)((3 * 8) - 1));
        writer.Write(GuestMemory.Entry + GdtOffset + 8);
        writer.Write((ushort)0);
        writer.Write(0UL);
        writer.Write(0x00AF_9B00_0000_FFFFUL);
        writer.Write(0x00CF_9300_0000_FFFFUL);
        return image;
    }
}
