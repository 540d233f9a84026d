using System;
using System.Linq;
using Hypervisor.Backends.Block.Images;

namespace Hypervisor.Backends.Block;

/// <summary>An image format: its name, and how an image of it is opened.</summary>
/// <param name="Name">As in <c>format=</c>.</param>
/// <param name="Open">Opens path, read-only or not, O_DIRECT or not, with a place for reports.</param>
/// <param name="Create">Makes an empty image of a size.</param>
public sealed record BlockFormat(
    string Name,
    Func<string, bool, bool, Action<string>, IBlockDevice> Open,
    Action<string, long> Create)
{
    private static readonly BlockFormat[] s_all =
    [
        new("raw", RawImage.Open, RawImage.Create),
    ];

    /// <summary>Every format that this build knows.</summary>
    public static ReadOnlySpan<BlockFormat> All => s_all;

    /// <summary>Looks a format up.</summary>
    /// <exception cref="BlockImageException">No such format; the message lists what there is.</exception>
    public static BlockFormat Named(string name)
        => Array.Find(s_all, format => format.Name == name)
            ?? throw new BlockImageException(
                $"format={name}: unknown; allowed are {string.Join(", ", s_all.Select(format => format.Name))}");
}
