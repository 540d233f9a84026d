using System;
using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using Hypervisor.Core.Memory;

namespace Hypervisor.Machine.Boot;

/// <summary>Guest RAM as the loaders write it: a range that is not RAM is an error for the user.</summary>
internal sealed class BootRam(GuestRam ram)
{
    private const int ChunkBytes = 1 << 30; // a span can't be longer than 2 GiB

    /// <summary>End of RAM below the PCI hole.</summary>
    public ulong LowEnd => (ulong)ram.LowBytes;

    /// <summary>The RAM itself.</summary>
    public GuestRam Ram => ram;

    /// <summary>Writes <paramref name="bytes"/> where RAM is known to be.</summary>
    public void Write(ulong gpa, ReadOnlySpan<byte> bytes)
    {
        if (!ram.TryWrite(gpa, bytes))
        {
            throw NoRam("boot data", gpa, (ulong)bytes.Length);
        }
    }

    /// <summary>Writes a little-endian 32-bit field.</summary>
    public void WriteU32(ulong gpa, uint value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        Write(gpa, bytes);
    }

    /// <summary>Writes a little-endian 64-bit field.</summary>
    public void WriteU64(ulong gpa, ulong value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        Write(gpa, bytes);
    }

    /// <summary>Writes a zero-terminated string in UTF-8.</summary>
    public void WriteString(ulong gpa, string text)
    {
        Write(gpa, Encoding.UTF8.GetBytes(text));
        Write(gpa + (ulong)Encoding.UTF8.GetByteCount(text), [0]);
    }

    /// <summary>Zeroes [<paramref name="gpa"/>, +length).</summary>
    public void Clear(ulong gpa, ulong lengthBytes, string what)
    {
        ForEachSpan(gpa, lengthBytes, what, static (span, _) => span.Clear());
    }

    /// <summary>Reads a part of <paramref name="file"/> straight into RAM.</summary>
    public void Load(BootFile file, long offset, ulong gpa, ulong lengthBytes)
    {
        ForEachSpan(gpa, lengthBytes, $"{file.Role} {file.Name}", (span, done) => file.Read(offset + (long)done, span));
    }

    /// <summary>GDT, and for long mode identity page tables for the first 4 GiB. Spec: Linux x86 boot protocol, "64-bit boot protocol".</summary>
    public void WriteFlatTables(bool isLong)
    {
        WriteU64(BootLayout.Gdt, 0);
        WriteU64(BootLayout.Gdt + 8, 0);
        WriteU64(BootLayout.Gdt + BootLayout.BootCodeSelector, isLong ? 0x00AF_9B00_0000_FFFF : 0x00CF_9B00_0000_FFFFu);
        WriteU64(BootLayout.Gdt + BootLayout.DataSelector, 0x00CF_9300_0000_FFFF);

        if (!isLong)
        {
            return;
        }

        const ulong PresentWritable = 0x3;
        const ulong LargePage = 0x80;
        const ulong PageBytes = PageKernels.PageBytes;
        ulong directoryPointers = BootLayout.PageTables + PageBytes;
        ulong directories = directoryPointers + PageBytes;
        WriteU64(BootLayout.PageTables, directoryPointers | PresentWritable);
        for (ulong i = 0; i < 4; i++)
        {
            WriteU64(directoryPointers + (i * 8), (directories + (i * PageBytes)) | PresentWritable);
        }

        for (ulong i = 0; i < 4 * 512; i++)
        {
            WriteU64(directories + (i * 8), (i << BitOperations.Log2(2 << 20)) | PresentWritable | LargePage);
        }
    }

    /// <summary>The error that something does not fit into the guest's RAM.</summary>
    public BootException NoRam(string what, ulong gpa, ulong lengthBytes) => new(
        $"{what}: {lengthBytes} bytes at 0x{gpa:X} are not in the guest's RAM of {ram.LengthBytes >> 20} MiB");

    private void ForEachSpan(ulong gpa, ulong lengthBytes, string what, Action<Span<byte>, ulong> action)
    {
        if (lengthBytes == 0)
        {
            return;
        }

        if (lengthBytes > long.MaxValue || !ram.TryGetOffset(gpa, (long)lengthBytes, out long ramOffset))
        {
            throw NoRam(what, gpa, lengthBytes);
        }

        for (ulong done = 0; done < lengthBytes;)
        {
            int count = (int)Math.Min(lengthBytes - done, ChunkBytes);
            action(ram.WritableBytes(ramOffset + (long)done, count), done);
            done += (ulong)count;
        }
    }
}
