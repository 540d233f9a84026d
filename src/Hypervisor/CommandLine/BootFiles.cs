using System;
using System.Buffers.Binary;
using System.IO;
using Hypervisor.Machine;

namespace Hypervisor.CommandLine;

/// <summary>Reads the files that a guest starts from, and refuses early what cannot be one.</summary>
internal static class BootFiles
{
    private const uint ElfMagic = 0x464C_457F;        // 7F "ELF"
    private const uint SetupHeaderMagic = 0x5372_6448; // "HdrS". Spec: Linux Documentation/arch/x86/boot.rst
    private const int SetupHeaderOffset = 0x202;
    private const uint MultibootMagic = 0x1BAD_B002;   // Spec: Multiboot 0.6.96, 3.1: in the first 8 KiB, 4-byte aligned
    private const int MultibootSearchBytes = 8192;

    /// <summary>Reads a file that must fit into the guest's RAM; null stays null.</summary>
    /// <exception cref="FailureException">Missing, unreadable, empty, too large, or not what it should be.</exception>
    public static BootImage? Read(string option, string? path, long memoryBytes, Func<ReadOnlyMemory<byte>, string?>? check = null)
    {
        if (path is null)
        {
            return null;
        }

        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read);
            if (file.Length > Math.Min(memoryBytes, Array.MaxLength))
            {
                throw new FailureException($"{option} {path}: {file.Length} bytes are larger than the guest's RAM of "
                    + $"{memoryBytes} bytes; allowed: a smaller file or more --memory");
            }

            byte[] bytes = new byte[file.Length];
            file.ReadExactly(bytes);
            string? problem = bytes.Length == 0 ? "the file is empty" : check?.Invoke(bytes);
            return problem is null
                ? new BootImage(path, bytes)
                : throw new FailureException($"{option} {path}: {problem}");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new FailureException($"{option} {path}: {HostErrors.Explain(error, path)}");
        }
    }

    /// <summary>Says why bytes are no kernel; null when they may be one. The loader checks the rest.</summary>
    public static string? CheckKernel(ReadOnlyMemory<byte> bytes)
    {
        ReadOnlySpan<byte> span = bytes.Span;
        return StartsWith(span, 0, ElfMagic) || StartsWith(span, SetupHeaderOffset, SetupHeaderMagic) || HasMultiboot(span)
            ? null
            : "this is no kernel; allowed: a bzImage, a PVH ELF or a multiboot image";
    }

    private static bool HasMultiboot(ReadOnlySpan<byte> bytes)
    {
        for (int offset = 0; offset < Math.Min(bytes.Length, MultibootSearchBytes); offset += sizeof(uint))
        {
            if (StartsWith(bytes, offset, MultibootMagic))
            {
                return true;
            }
        }

        return false;
    }

    private static bool StartsWith(ReadOnlySpan<byte> bytes, int offset, uint magic)
        => offset <= bytes.Length - sizeof(uint) && BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]) == magic;
}
