using System;
using System.Buffers.Binary;
using System.IO;

namespace Hypervisor.GuestTests;

/// <summary>Takes the ELF kernel out of a bzImage whose payload is compressed by LZ4, as Debian's is.</summary>
/// <remarks>
/// Spec: Linux Documentation/arch/x86/boot.rst (payload_offset, payload_length); LZ4 block format, and its legacy
/// frame: magic, then blocks of a 32-bit length and data; behind the last block the kernel's build adds the size of
/// the result.
/// </remarks>
internal static class Vmlinux
{
    private const int SetupSectors = 0x1F1, PayloadOffset = 0x248, PayloadLength = 0x24C;
    private const int SectorBytes = 512;
    private const uint LegacyFrame = 0x184C_2102;
    private const int MatchBytesMin = 4;
    private const int LongLength = 15; // a length of that many goes on in further bytes

    /// <summary>The ELF file.</summary>
    public static byte[] Extract(string bzImagePath)
    {
        ReadOnlySpan<byte> file = File.ReadAllBytes(bzImagePath);
        int start = ((file[SetupSectors] + 1) * SectorBytes) + (int)U32(file[PayloadOffset..]);
        ReadOnlySpan<byte> payload = file.Slice(start, (int)U32(file[PayloadLength..]));
        if (U32(payload) != LegacyFrame)
        {
            throw new InvalidDataException("the kernel is not compressed by LZ4");
        }

        byte[] target = new byte[U32(payload[^4..])];
        ReadOnlySpan<byte> blocks = payload[4..^4];
        int written = 0;
        while (blocks.Length > 0)
        {
            int length = (int)U32(blocks);
            written = Decode(blocks.Slice(4, length), target, written);
            blocks = blocks[(4 + length)..];
        }

        return written == target.Length ? target : throw new InvalidDataException("the kernel's payload is cut off");
    }

    private static int Decode(ReadOnlySpan<byte> block, Span<byte> target, int written)
    {
        int read = 0;
        while (true)
        {
            byte token = block[read++];
            int literals = Length(block, ref read, token >> 4);
            block.Slice(read, literals).CopyTo(target[written..]);
            read += literals;
            written += literals;
            if (read == block.Length)
            {
                return written;
            }

            int distance = BinaryPrimitives.ReadUInt16LittleEndian(block[read..]);
            read += 2;
            int matched = Length(block, ref read, token & 15) + MatchBytesMin;
            for (int i = 0; i < matched; i++, written++)
            {
                target[written] = target[written - distance]; // may overlap: a repeated pattern
            }
        }
    }

    private static int Length(ReadOnlySpan<byte> block, ref int read, int start)
    {
        int length = start;
        byte more = start == LongLength ? byte.MaxValue : (byte)0;
        while (more == byte.MaxValue)
        {
            more = block[read++];
            length += more;
        }

        return length;
    }

    private static uint U32(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt32LittleEndian(bytes);
}
