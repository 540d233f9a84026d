using System.Globalization;
using Hypervisor.Core.Host;
using Hypervisor.Replication.Link;
using Hypervisor.Replication.Wire;

namespace Hypervisor.CommandLine;

/// <summary>How users say what may be compressed: `none`, `lz4`, `zstd`, `zstd:LEVEL`, `auto`.</summary>
internal static class CompressText
{
    private const string Auto = "auto";
    private const string Zstd = "zstd";

    /// <summary>What may stand there.</summary>
    public const string Shape = "none|lz4|zstd[:LEVEL]|auto";

    /// <summary>Parses it; a library that is missing is refused here, before a guest runs.</summary>
    /// <exception cref="UsageException">Something else stands there, or this host cannot do it.</exception>
    public static CompressionTerms Parse(string option, string? text)
    {
        string[] words = (text ?? Auto).Split(':');
        CompressionTerms? terms = words switch
        {
            [Auto] => new CompressionTerms(LinkCompression.Available),
            ["none"] => CompressionTerms.Off,
            ["lz4"] => new CompressionTerms(Compressions.Lz4),
            [Zstd] => new CompressionTerms(Compressions.Zstd),
            [Zstd, var level] when int.TryParse(level, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
                && number is >= 1 and <= HostZstd.LevelMax => new CompressionTerms(Compressions.Zstd, number),
            _ => null,
        };
        if (terms is not { } found)
        {
            throw new UsageException(
                $"{option}: '{text}' is not known; allowed: {Shape}, LEVEL from 1 to {HostZstd.LevelMax}");
        }

        return (found.Allowed & LinkCompression.Available) != 0 ? found : throw new UsageException(
            $"{option}: '{text}' needs {(found.Allowed == Compressions.Zstd ? HostZstd.Library : HostLz4.Library)}, "
            + $"which this host does not have; allowed: {LinkCompression.Available.Describe()}, auto");
    }

    /// <summary>Writes it, such that <see cref="Parse"/> on the same host reads it back.</summary>
    public static string Write(CompressionTerms terms)
        => terms.Allowed == Compressions.Zstd && terms.ZstdLevel > 1
            ? string.Create(CultureInfo.InvariantCulture, $"{Zstd}:{terms.ZstdLevel}")
            : terms.Allowed is Compressions.Zstd or Compressions.Lz4 ? terms.Allowed.Describe()
            : terms == CompressionTerms.Off ? "none"
            : Auto;
}
