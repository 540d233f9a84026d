using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using Hypervisor.Backends.Network;
using Hypervisor.Core.Host;
using Hypervisor.Machine;

namespace Hypervisor.CommandLine;

/// <summary>`--net tap,ifname=…|user[,hostfwd=…]|socket,listen=…|none`, each with `mac=` and `mtu=`.</summary>
internal static class NetText
{
    private const string Allowed =
        "allowed: tap,ifname=NAME[,queues=N], user[,hostfwd=tcp|udp:[ADDRESS]:PORT-:PORT], "
        + "socket,listen=|connect=HOST:PORT|fd=N, none; each with mac= and mtu=";

    private const string None = "none";

    /// <summary>Parses every `--net` (or option <paramref name="option"/>), in order.</summary>
    /// <param name="option">Name in messages.</param>
    /// <param name="texts">What was typed.</param>
    /// <param name="machine">Identity of the machine, from which addresses come that are not given.</param>
    /// <exception cref="UsageException">A word that is not understood, or two NICs with one address.</exception>
    public static List<NetworkOptions> ParseAll(string option, IReadOnlyList<string> texts, Guid machine)
    {
        List<NetworkOptions> networks = [];
        if (texts.Count == 1 && texts[0] == None)
        {
            return networks;
        }

        foreach (string text in texts)
        {
            NetworkOptions network = Parse($"{option} {text}", text, DefaultMac(machine, networks.Count));
            if (networks.Exists(other => other.Mac == network.Mac))
            {
                throw new UsageException($"{option} {text}: address {network.Mac} is taken; allowed: another mac=");
            }

            networks.Add(network);
        }

        return networks.Count <= MachineConfig.NetworkCountMax ? networks : throw new UsageException(
            $"{option}: {networks.Count} NICs are too many; allowed: {MachineConfig.NetworkCountMax}");
    }

    /// <summary>Writes a NIC as an option's value, such that <see cref="ParseAll"/> reads it back.</summary>
    public static string Write(NetworkOptions network)
    {
        string kind = network.Kind switch
        {
            NetworkKind.Tap => $"tap,ifname={PropertyList.Quote(network.InterfaceName)},queues={network.QueueCount}",
            NetworkKind.User => "user" + string.Concat(network.Forwards.Select(Write)),
            NetworkKind.Listen => $"socket,listen={new Endpoint(network.Host, network.Port)}",
            NetworkKind.Connect => $"socket,connect={new Endpoint(network.Host, network.Port)}",
            NetworkKind.Descriptor => $"socket,fd={network.Descriptor}",
        };
        return string.Create(CultureInfo.InvariantCulture, $"{kind},mac={network.Mac},mtu={network.MtuBytes}");
    }

    private static string Write(HostForward forward) => string.Create(
        CultureInfo.InvariantCulture,
        $",hostfwd={(forward.IsTcp ? "tcp" : "udp")}:{forward.HostAddress}:{forward.HostPort}-:{forward.GuestPort}");

    private static NetworkOptions Parse(string where, string text, MacAddress defaultMac)
    {
        int comma = text.IndexOf(',', StringComparison.Ordinal);
        string kind = comma < 0 ? text : text[..comma];
        string rest = comma < 0 ? "" : text[(comma + 1)..];
        NetworkOptions network = kind switch
        {
            "tap" => ParseTap(where, rest, out PropertyList properties) with { Mac = Mac(where, properties) },
            "user" => ParseUser(where, rest, out PropertyList properties) with { Mac = Mac(where, properties) },
            "socket" => ParseSocket(where, rest, out PropertyList properties) with { Mac = Mac(where, properties) },
            None => throw new UsageException($"{where}: there are other NICs; allowed: alone"),
            _ => throw new UsageException($"{where}: '{kind}' is not known; {Allowed}"),
        };
        return network;

        MacAddress Mac(string where, PropertyList properties)
            => properties.Find("mac") is not { } typed ? defaultMac
                : MacAddress.TryParse(typed, out MacAddress mac) && !mac.IsGroup && mac.Value != 0 ? mac
                : throw new UsageException($"{where}: mac={typed} is no address of a NIC; allowed: six pairs of "
                    + "hexadecimal digits with colons, the first one even, as 52:54:00:12:34:56");
    }

    private static NetworkOptions ParseTap(string where, string rest, out PropertyList properties)
    {
        properties = PropertyList.Parse(where, rest, "ifname", "queues", "mac", "mtu");
        string name = properties.Find("ifname") ?? "";
        bool isName = name.Length > 0 && Encoding.UTF8.GetByteCount(name) <= HostTap.NameBytesMax
            && !name.Any(c => char.IsWhiteSpace(c) || c is '/' or '%');
        return isName
            ? new NetworkOptions(NetworkKind.Tap)
            {
                InterfaceName = name,
                QueueCount = Number(where, properties, "queues", 1, 1, NetworkOptions.QueueCountMax),
                MtuBytes = Mtu(where, properties),
            }
            : throw new UsageException(
                $"{where}: ifname={name} is no interface; allowed: 1 to {HostTap.NameBytesMax} bytes");
    }

    private static NetworkOptions ParseUser(string where, string rest, out PropertyList properties)
    {
        properties = PropertyList.ParseRepeated(where, rest, "hostfwd", "mac", "mtu");
        return new NetworkOptions(NetworkKind.User)
        {
            Forwards = [.. properties.FindAll("hostfwd").Select(forward => ParseForward(where, forward))],
            MtuBytes = Mtu(where, properties),
        };
    }

    // tcp|udp:[ADDRESS]:PORT-:PORT, as QEMU's; passt knows the guest's address.
    private static HostForward ParseForward(string where, string text)
    {
        int protocolEnd = text.IndexOf(':', StringComparison.Ordinal);
        int dash = text.LastIndexOf("-:", StringComparison.Ordinal);
        string protocol = protocolEnd < 0 ? "" : text[..protocolEnd];
        if (protocol is "tcp" or "udp" && dash > protocolEnd)
        {
            string host = text[(protocolEnd + 1)..dash];
            int colon = host.LastIndexOf(':');
            if (colon >= 0 && Port(host[(colon + 1)..]) is { } hostPort && Port(text[(dash + 2)..]) is { } guestPort
                && (colon == 0 || System.Net.IPAddress.TryParse(host[..colon], out _)))
            {
                return new HostForward(protocol == "tcp", host[..colon], hostPort, guestPort);
            }
        }

        throw new UsageException($"{where}: hostfwd={text} is not understood; "
            + "allowed: tcp|udp:[ADDRESS]:PORT-:PORT, as tcp:127.0.0.1:2222-:22");

        static int? Port(string text)
            => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int port)
                && port is > 0 and <= ushort.MaxValue ? port : null;
    }

    private static NetworkOptions ParseSocket(string where, string rest, out PropertyList properties)
    {
        properties = PropertyList.Parse(where, rest, "listen", "connect", "fd", "mac", "mtu");
        int mtu = Mtu(where, properties);
        switch (properties.Find("listen"), properties.Find("connect"), properties.Find("fd"))
        {
            case ({ } listen, null, null):
                Endpoint local = Endpoint.Parse(where, listen);
                return new(NetworkKind.Listen) { Host = local.Host, Port = local.Port, MtuBytes = mtu };
            case (null, { } connect, null):
                Endpoint remote = Endpoint.Parse(where, connect);
                return new(NetworkKind.Connect) { Host = remote.Host, Port = remote.Port, MtuBytes = mtu };
            case (null, null, { }):
                int descriptor = Number(where, properties, "fd", 0, 3, int.MaxValue);
                return new(NetworkKind.Descriptor) { Descriptor = descriptor, MtuBytes = mtu };
            default:
                throw new UsageException(
                    $"{where}: where the other end is must be said once; allowed: listen=, connect= or fd=");
        }
    }

    private static int Mtu(string where, PropertyList properties) => Number(
        where,
        properties,
        "mtu",
        NetworkOptions.MtuBytesDefault,
        NetworkOptions.MtuBytesMin,
        NetworkOptions.MtuBytesMax);

    private static int Number(
        string where, PropertyList properties, string key, int otherwise, int smallest, int largest)
    {
        string? text = properties.Find(key);
        return text is null
            ? otherwise
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value)
                && value >= smallest && value <= largest
                ? value
                : throw new UsageException(
                    $"{where}: {key}={text} does not fit; allowed: a number from {smallest} to {largest}");
    }

    // The same on both halves of a pair, another for every machine; 52:54:00 is QEMU's prefix for such.
    private static MacAddress DefaultMac(Guid machine, int index)
    {
        byte[] digest = SHA256.HashData([.. machine.ToByteArray(), (byte)index]);
        return new MacAddress(0x5254_0000_0000 | ((ulong)digest[0] << 16) | ((ulong)digest[1] << 8) | digest[2]);
    }
}
