using System;
using Hypervisor.Devices;

namespace Hypervisor.TestKit;

/// <summary>The same random bytes for the same seed.</summary>
public sealed class SeededEntropy(int seed) : IEntropySource
{
    private readonly Random _random = new(seed);

    /// <inheritdoc/>
    public void Fill(Span<byte> bytes) => _random.NextBytes(bytes);
}
