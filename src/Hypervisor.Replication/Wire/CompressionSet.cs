using System;

namespace Hypervisor.Replication.Wire;

/// <summary>What a set of <see cref="Compressions"/> comes to.</summary>
public static class CompressionSet
{
    /// <summary>The best one of a set; Nothing when it is empty.</summary>
    public static Compressions Best(this Compressions set)
        => (set & Compressions.Zstd) != 0 ? Compressions.Zstd
            : (set & Compressions.Lz4) != 0 ? Compressions.Lz4
            : set & Compressions.None;

    /// <summary>A set as words, as users write them.</summary>
    public static string Describe(this Compressions set)
    {
        string[] words =
        [
            .. set.HasFlag(Compressions.None) ? ["none"] : Array.Empty<string>(),
            .. set.HasFlag(Compressions.Lz4) ? ["lz4"] : Array.Empty<string>(),
            .. set.HasFlag(Compressions.Zstd) ? ["zstd"] : Array.Empty<string>(),
        ];
        return string.Join(", ", words);
    }
}
