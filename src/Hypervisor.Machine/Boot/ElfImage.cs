using System;
using System.Buffers.Binary;
using System.Collections.Generic;

namespace Hypervisor.Machine.Boot;

/// <summary>Header, loadable segments and notes of an x86 ELF executable, all bounds checked.</summary>
/// <remarks>
/// Spec: System V ABI, "Object Files". Offsets for 32-bit | 64-bit files, little-endian:
/// <code>
/// header         18 e_entry u32|u64   1C|20 e_phoff   2A|36 e_phentsize u16   2C|38 e_phnum u16
/// program header 00 p_type u32   04|08 p_offset   0C|18 p_paddr   10|20 p_filesz   14|28 p_memsz
/// </code>
/// </remarks>
internal sealed class ElfImage
{
    private const int SegmentsMax = 64;        // kernels have fewer than ten
    private const int NoteBytesMax = 64 << 10; // a kernel's notes are some hundred bytes
    private const uint TypeLoad = 1;
    private const uint TypeNote = 4;
    private const ushort MachineI386 = 3;
    private const ushort MachineX64 = 62;

    private readonly BootFile _file;
    private readonly List<Segment> _segments = [];

    private ElfImage(BootFile file, byte[] head)
    {
        _file = file;
        Is64 = head[4] == 2;
        if ((head[4] != 1 && head[4] != 2) || head[5] != 1)
        {
            throw file.Refused("no ELF file for a little-endian x86");
        }

        ushort machine = BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(18));
        if (machine is not (MachineI386 or MachineX64))
        {
            throw file.Refused($"ELF machine {machine}, allowed are {MachineI386} (i386) and {MachineX64} (x86-64)");
        }

        Entry = Word(head, 0x18);
        ulong tableOffset = Word(head, Is64 ? 0x20 : 0x1C);
        int entryBytes = BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(Is64 ? 0x36 : 0x2A));
        int count = BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(Is64 ? 0x38 : 0x2C));
        int headerBytes = Is64 ? 56 : 32;
        if (entryBytes < headerBytes || count is 0 or > SegmentsMax || tableOffset > (ulong)file.LengthBytes)
        {
            throw file.Refused($"ELF with {count} program headers of {entryBytes} bytes at {tableOffset}");
        }

        byte[] table = new byte[entryBytes * count];
        file.Read((long)tableOffset, table);
        for (int i = 0; i < count; i++)
        {
            AddSegment(table.AsSpan(i * entryBytes, headerBytes));
        }
    }

    /// <summary>Whether the file is ELF64.</summary>
    public bool Is64 { get; }

    /// <summary>The entry point of the header, a virtual address.</summary>
    public ulong Entry { get; }

    /// <summary>End of the highest loaded segment.</summary>
    public ulong LoadEnd { get; private set; }

    /// <summary>Whether <paramref name="head"/> begins an ELF file.</summary>
    public static bool IsMatch(ReadOnlySpan<byte> head) => head.StartsWith("\u007FELF"u8);

    /// <summary>Parses the headers.</summary>
    /// <exception cref="BootException">Not a sound ELF executable.</exception>
    public static ElfImage Parse(BootFile file)
    {
        byte[] head = file.Head(64);
        return head.Length == 64 && IsMatch(head) ? new ElfImage(file, head) : throw file.Refused("truncated ELF header");
    }

    /// <summary>Writes every segment to its physical address and zeroes the rest of it.</summary>
    /// <exception cref="BootException">A segment is outside RAM or where the boot data will be.</exception>
    public void Load(BootRam ram)
    {
        foreach (Segment segment in _segments)
        {
            if (segment.Type != TypeLoad || segment.MemoryBytes == 0)
            {
                continue;
            }

            CheckPlace(segment.Gpa, segment.MemoryBytes);
            ram.Load(_file, (long)segment.Offset, segment.Gpa, segment.FileBytes);
            ram.Clear(
                segment.Gpa + segment.FileBytes, segment.MemoryBytes - segment.FileBytes, $"{_file.Role} {_file.Name}");
            LoadEnd = Math.Max(LoadEnd, segment.Gpa + segment.MemoryBytes);
        }

        if (LoadEnd == 0)
        {
            throw _file.Refused("ELF without loadable segments");
        }
    }

    /// <summary>The physical address of a virtual one, or the same where no segment holds it.</summary>
    public ulong ToPhysical(ulong virtualAddress)
    {
        foreach (Segment segment in _segments)
        {
            if (segment.Type == TypeLoad && virtualAddress >= segment.Gva && virtualAddress - segment.Gva < segment.MemoryBytes)
            {
                return segment.Gpa + (virtualAddress - segment.Gva);
            }
        }

        return virtualAddress;
    }

    /// <summary>The descriptor of the first note with this owner and type.</summary>
    public bool TryFindNote(ReadOnlySpan<byte> owner, uint type, out byte[] descriptor)
    {
        foreach (Segment segment in _segments)
        {
            if (segment.Type == TypeNote && TryFindNote(segment, owner, type, out descriptor))
            {
                return true;
            }
        }

        descriptor = [];
        return false;
    }

    // A note: name size u32, descriptor size u32, type u32, name, descriptor; both padded to four bytes.
    private bool TryFindNote(Segment segment, ReadOnlySpan<byte> owner, uint type, out byte[] descriptor)
    {
        byte[] notes = new byte[Math.Min(segment.FileBytes, NoteBytesMax)];
        _file.Read((long)segment.Offset, notes);
        ReadOnlySpan<byte> rest = notes;
        while (rest.Length >= 12)
        {
            uint nameBytes = BinaryPrimitives.ReadUInt32LittleEndian(rest);
            uint descriptorBytes = BinaryPrimitives.ReadUInt32LittleEndian(rest[4..]);
            uint noteType = BinaryPrimitives.ReadUInt32LittleEndian(rest[8..]);
            rest = rest[12..];
            long nameSpace = (nameBytes + 3L) & ~3L;
            long descriptorSpace = (descriptorBytes + 3L) & ~3L;
            if (nameSpace > rest.Length || descriptorBytes > rest.Length - nameSpace)
            {
                break;
            }

            if (noteType == type && rest[..(int)nameBytes].SequenceEqual(owner))
            {
                descriptor = rest.Slice((int)nameSpace, (int)descriptorBytes).ToArray();
                return true;
            }

            rest = rest[(int)Math.Min(nameSpace + descriptorSpace, rest.Length)..];
        }

        descriptor = [];
        return false;
    }

    private void AddSegment(ReadOnlySpan<byte> header)
    {
        var segment = new Segment(
            BinaryPrimitives.ReadUInt32LittleEndian(header),
            Word(header, Is64 ? 0x08 : 0x04),
            Word(header, Is64 ? 0x10 : 0x08),
            Word(header, Is64 ? 0x18 : 0x0C),
            Word(header, Is64 ? 0x20 : 0x10),
            Word(header, Is64 ? 0x28 : 0x14));
        if (segment.Type is not (TypeLoad or TypeNote))
        {
            return;
        }

        ulong fileBytes = (ulong)_file.LengthBytes;
        if (segment.Offset > fileBytes || segment.FileBytes > fileBytes - segment.Offset)
        {
            throw _file.Refused($"ELF segment of {segment.FileBytes} bytes at {segment.Offset} is outside the file");
        }

        if (segment.Type == TypeLoad
            && (segment.MemoryBytes < segment.FileBytes || segment.MemoryBytes > ulong.MaxValue - segment.Gpa))
        {
            throw _file.Refused($"ELF segment at 0x{segment.Gpa:X} has impossible sizes");
        }

        _segments.Add(segment);
    }

    private void CheckPlace(ulong gpa, ulong lengthBytes)
    {
        ulong end = gpa + lengthBytes;
        if (gpa < BootLayout.OneMebibyte && end > BootLayout.Start)
        {
            throw _file.Refused(
                $"segment 0x{gpa:X}-0x{end - 1:X} overlaps boot data and firmware at 0x{BootLayout.Start:X}-0xFFFFF");
        }
    }

    private ulong Word(ReadOnlySpan<byte> bytes, int offset) => Is64
        ? BinaryPrimitives.ReadUInt64LittleEndian(bytes[offset..])
        : BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]);

    private readonly record struct Segment(
        uint Type, ulong Offset, ulong Gva, ulong Gpa, ulong FileBytes, ulong MemoryBytes);
}
