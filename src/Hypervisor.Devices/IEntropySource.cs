using System;

namespace Hypervisor.Devices;

/// <summary>Random bytes: the host's in production, a seeded generator in the simulator and in tests.</summary>
public interface IEntropySource
{
    /// <summary>Overwrites all of <paramref name="bytes"/>.</summary>
    void Fill(Span<byte> bytes);
}
