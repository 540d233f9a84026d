namespace Hypervisor.Replication.Wire;

/// <summary>How a primary's link may compress.</summary>
/// <param name="Allowed">Any of these; the standby takes the best that it can do.</param>
/// <param name="ZstdLevel">How hard zstd tries, from 1, fast, to 19, small.</param>
public readonly record struct CompressionTerms(Compressions Allowed, int ZstdLevel = 1)
{
    /// <summary>Nothing is compressed.</summary>
    public static CompressionTerms Off => new(Compressions.None);
}
