using System;
using System.Security.Cryptography;
using System.Text;

namespace Hypervisor.CommandLine;

/// <summary>The identity of a machine.</summary>
internal static class UuidText
{
    /// <summary>
    /// Parses a UUID; without one, derives it from the machine's name, so that two halves of a pair that were
    /// started by hand with the same words agree.
    /// </summary>
    /// <exception cref="UsageException">Not a UUID.</exception>
    public static Guid Parse(string where, string? text, string name)
    {
        if (text is null)
        {
            return new Guid(SHA256.HashData(Encoding.UTF8.GetBytes("hypervisor machine " + name)).AsSpan(0, 16));
        }

        return Guid.TryParseExact(text, "D", out Guid uuid) ? uuid : throw new UsageException(
            $"{where}: '{text}' is not a UUID; allowed: 8-4-4-4-12 hexadecimal digits");
    }
}
