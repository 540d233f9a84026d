using System;
using System.Buffers.Binary;

namespace Hypervisor.Guest;

/// <summary>Wraps flat guest code into an ELF file with a PVH entry point, as our loader and QEMU's -kernel take it.</summary>
/// <remarks>
/// ELF64 header (64 bytes), program headers for the note and the code (56 bytes each), the note, padding, code.
/// Spec: System V ABI, "Object Files"; Xen include/public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY.
/// </remarks>
internal static class PvhImage
{
    private const int HeaderBytes = 64;
    private const int ProgramHeaderBytes = 56;
    private const int NoteOffset = HeaderBytes + (2 * ProgramHeaderBytes);
    private const int NoteBytes = 20;
    private const int CodeOffset = 0x1000;
    private const uint TypeLoad = 1;
    private const uint TypeNote = 4;
    private const uint ReadWriteExecute = 7;
    private const uint NotePhys32Entry = 18;

    /// <summary>An ELF file that loads <paramref name="code"/> at <paramref name="gpa"/> and enters it at its first byte.</summary>
    /// <param name="code">32-bit code first.</param>
    /// <param name="gpa">Load and entry address.</param>
    /// <param name="memoryBytes">RAM that the guest uses from <paramref name="gpa"/> on, at least the code.</param>
    public static byte[] Wrap(ReadOnlySpan<byte> code, uint gpa, uint memoryBytes)
    {
        byte[] file = new byte[CodeOffset + code.Length];
        Span<byte> header = file;
        "\u007FELF"u8.CopyTo(header);
        header[4] = 2; // 64-bit
        header[5] = 1; // little-endian
        header[6] = 1; // version
        U16(header, 16, 2);  // executable
        U16(header, 18, 62); // x86-64
        U32(header, 20, 1);
        U64(header, 24, gpa);
        U64(header, 32, HeaderBytes);
        U16(header, 52, HeaderBytes);
        U16(header, 54, ProgramHeaderBytes);
        U16(header, 56, 2);

        ProgramHeader(header[HeaderBytes..], TypeNote, NoteOffset, 0, NoteBytes, NoteBytes);
        ProgramHeader(
            header[(HeaderBytes + ProgramHeaderBytes)..], TypeLoad, CodeOffset, gpa, (uint)code.Length, memoryBytes);

        Span<byte> note = header[NoteOffset..];
        U32(note, 0, 4); // name bytes
        U32(note, 4, 4); // descriptor bytes
        U32(note, 8, NotePhys32Entry);
        "Xen\0"u8.CopyTo(note[12..]);
        U32(note, 16, gpa);

        code.CopyTo(header[CodeOffset..]);
        return file;
    }

    private static void ProgramHeader(
        Span<byte> target, uint type, uint offset, uint gpa, uint fileBytes, uint memoryBytes)
    {
        U32(target, 0, type);
        U32(target, 4, ReadWriteExecute);
        U64(target, 8, offset);
        U64(target, 16, gpa);
        U64(target, 24, gpa);
        U64(target, 32, fileBytes);
        U64(target, 40, memoryBytes);
        U64(target, 48, type == TypeLoad ? 0x1000u : 4u);
    }

    private static void U16(Span<byte> target, int offset, ushort value)
        => BinaryPrimitives.WriteUInt16LittleEndian(target[offset..], value);

    private static void U32(Span<byte> target, int offset, uint value)
        => BinaryPrimitives.WriteUInt32LittleEndian(target[offset..], value);

    private static void U64(Span<byte> target, int offset, ulong value)
        => BinaryPrimitives.WriteUInt64LittleEndian(target[offset..], value);
}
