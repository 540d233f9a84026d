using System;
using System.Globalization;
using System.Net;

namespace Hypervisor.CommandLine;

/// <summary>A TCP address as typed: `HOST:PORT`, an IPv6 address in brackets.</summary>
internal readonly record struct Endpoint(string Host, int Port)
{
    private const int HostLengthMax = 253; // of a name in DNS; .NET throws when it looks up a longer one

    /// <summary>Whether it is a loopback address of this machine. Nobody is asked what a name means.</summary>
    public bool IsThisHost
        => Host == "localhost" || (IPAddress.TryParse(Host, out IPAddress? address) && IPAddress.IsLoopback(address));

    /// <summary>Parses `HOST:PORT`; <paramref name="portMin"/> 0 lets the host choose one.</summary>
    /// <exception cref="UsageException">
    /// No host or a longer one than DNS has, no port, or no number from 1 to 65535.
    /// </exception>
    public static Endpoint Parse(string where, string text, int portMin = 1)
    {
        int colon = text.LastIndexOf(':');
        string host = colon < 0 ? "" : text[..colon];
        if (host.Length > 2 && host[0] == '[' && host[^1] == ']')
        {
            host = host[1..^1];
        }
        else if (host.Contains(':', StringComparison.Ordinal))
        {
            host = ""; // an IPv6 address without brackets: where it ends cannot be told
        }

        bool isPort = int.TryParse(
            text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port);
        if (host.Length > HostLengthMax)
        {
            throw new UsageException(
                $"{where}: a host's name of {host.Length} characters is too long; allowed: {HostLengthMax}");
        }

        return host.Length > 0 && isPort && port >= portMin && port <= ushort.MaxValue
            ? new Endpoint(host, port)
            : throw new UsageException(
                $"{where}: '{text}' is not an address; allowed: HOST:PORT with a port from {portMin} to 65535");
    }

    /// <inheritdoc/>
    public override string ToString()
        => Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}
