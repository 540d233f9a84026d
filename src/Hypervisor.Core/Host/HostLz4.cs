using System;
using System.Runtime.InteropServices;

namespace Hypervisor.Core.Host;

/// <summary>LZ4 blocks by the system's library. Spec: LZ4 block format; lz4.h 1.9.</summary>
public sealed unsafe partial class HostLz4 : BlockCodec
{
    /// <summary>What must be installed.</summary>
    public const string Library = "liblz4.so.1";

    /// <summary>Whether it is there.</summary>
    public static bool IsAvailable { get; } = IsThere(Library);

    /// <inheritdoc/>
    public override int Compress(ReadOnlySpan<byte> source, Span<byte> target)
    {
        fixed (byte* from = source, to = target)
        {
            return CompressDefault(from, to, source.Length, target.Length);
        }
    }

    /// <inheritdoc/>
    public override bool TryExpand(ReadOnlySpan<byte> source, Span<byte> target)
    {
        fixed (byte* from = source, to = target)
        {
            return DecompressSafe(from, to, source.Length, target.Length) == target.Length;
        }
    }

    [LibraryImport(Library, EntryPoint = "LZ4_compress_default")]
    private static partial int CompressDefault(byte* source, byte* target, int sourceBytes, int targetBytes);

    [LibraryImport(Library, EntryPoint = "LZ4_decompress_safe")]
    private static partial int DecompressSafe(byte* source, byte* target, int sourceBytes, int targetBytes);
}
