using System;
using System.Runtime.InteropServices;

namespace Hypervisor.Core.Host;

/// <summary>Zstandard frames by the system's library, one for each block. Spec: RFC 8878; zstd.h 1.4.</summary>
/// <remarks>
/// A frame is expanded in one call into its target, so no frame can make the library take memory for it.
/// </remarks>
public sealed unsafe partial class HostZstd : BlockCodec
{
    /// <summary>What must be installed.</summary>
    public const string Library = "libzstd.so.1";

    /// <summary>The highest level that does not ask for an extraordinary amount of memory.</summary>
    public const int LevelMax = 19;

    private readonly int _level;
    private nint _compressor;
    private nint _expander;

    /// <summary>Takes the library's memory: about 1 MiB at level 1 once used, more at higher ones.</summary>
    /// <param name="level">From 1, fast, to <see cref="LevelMax"/>, small.</param>
    public HostZstd(int level)
    {
        Check.That(level is >= 1 and <= LevelMax);
        _level = level;
        _compressor = CreateCompressor();
        _expander = CreateExpander();
        Check.That(_compressor != 0 && _expander != 0);
    }

    /// <summary>Whether it is there.</summary>
    public static bool IsAvailable { get; } = IsThere(Library);

    /// <inheritdoc/>
    public override int Compress(ReadOnlySpan<byte> source, Span<byte> target)
    {
        ObjectDisposedException.ThrowIf(_compressor == 0, this);
        fixed (byte* from = source, to = target)
        {
            nuint size = Compress(_compressor, to, (nuint)target.Length, from, (nuint)source.Length, _level);
            return IsError(size) != 0 ? 0 : (int)size;
        }
    }

    /// <inheritdoc/>
    public override bool TryExpand(ReadOnlySpan<byte> source, Span<byte> target)
    {
        ObjectDisposedException.ThrowIf(_expander == 0, this);
        fixed (byte* from = source, to = target)
        {
            return Expand(_expander, to, (nuint)target.Length, from, (nuint)source.Length) == (nuint)target.Length;
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        _ = FreeCompressor(_compressor); // null is allowed
        _ = FreeExpander(_expander);
        _compressor = _expander = 0;
        base.Dispose(disposing);
    }

    [LibraryImport(Library, EntryPoint = "ZSTD_createCCtx")]
    private static partial nint CreateCompressor();

    [LibraryImport(Library, EntryPoint = "ZSTD_freeCCtx")]
    private static partial nuint FreeCompressor(nint context);

    [LibraryImport(Library, EntryPoint = "ZSTD_compressCCtx")]
    private static partial nuint Compress(
        nint context, byte* target, nuint targetBytes, byte* source, nuint sourceBytes, int level);

    [LibraryImport(Library, EntryPoint = "ZSTD_createDCtx")]
    private static partial nint CreateExpander();

    [LibraryImport(Library, EntryPoint = "ZSTD_freeDCtx")]
    private static partial nuint FreeExpander(nint context);

    [LibraryImport(Library, EntryPoint = "ZSTD_decompressDCtx")]
    private static partial nuint Expand(
        nint context, byte* target, nuint targetBytes, byte* source, nuint sourceBytes);

    [LibraryImport(Library, EntryPoint = "ZSTD_isError")]
    private static partial uint IsError(nuint code);
}
