using System;
using System.Security.Cryptography;
using Hypervisor.Devices;

namespace Hypervisor.Machine;

/// <summary>The host kernel's random bytes.</summary>
internal sealed class HostEntropy : IEntropySource
{
    /// <inheritdoc/>
    public void Fill(Span<byte> bytes) => RandomNumberGenerator.Fill(bytes);
}
