using System;
using System.Collections.Generic;
using System.Net.Sockets;
using Hypervisor.TestKit;

namespace Hypervisor.Benchmarks.Network;

/// <summary>
/// Two hosts and a client on one switch, each in a network namespace of its own; the guest's NIC is bridged to it.
/// </summary>
internal sealed class TestBed : IDisposable
{
    /// <summary>The guest's address, on whichever host it runs.</summary>
    public const string Guest = "10.77.0.2";

    private readonly NetworkNamespace _switch = new();
    private readonly NetworkNamespace _client = new();
    private readonly NetworkNamespace[] _hosts = [new(), new()];

    /// <summary>Lays the cables.</summary>
    public TestBed()
    {
        _switch.Configure("link add switch0 type bridge");
        _switch.Configure("link set switch0 up");
        Plug(_client, "client");
        _client.Configure("address add 10.77.0.1/24 dev eth0");
        for (int i = 0; i < _hosts.Length; i++)
        {
            Plug(_hosts[i], $"host{i}");
            _hosts[i].Configure("link add bridge0 type bridge");
            _hosts[i].Configure($"address add {AddressOf(i)}/24 dev bridge0");
            _hosts[i].Configure("link set bridge0 up");
            _hosts[i].Configure("tuntap add dev tap0 mode tap");
            _hosts[i].Configure("link set tap0 master bridge0 up");
            _hosts[i].Configure("link set eth0 master bridge0 up");
        }
    }

    /// <summary>Where a host's `hv` is reached.</summary>
    public static string AddressOf(int host) => $"10.77.0.{11 + host}";

    /// <summary>Starts `hv` on a host.</summary>
    public HvProcess Start(int host, string hv, IEnumerable<string> words)
        => new("ip", ["netns", "exec", _hosts[host].Name, hv, .. words], _ => true);

    /// <summary>Pulls a host's cable out, or plugs it in again.</summary>
    public void SetCable(int host, bool isPlugged)
        => _switch.Configure($"link set host{host} {(isPlugged ? "up" : "down")}");

    /// <summary>Calls the guest.</summary>
    public Socket Connect(int port) => _client.Connect(Guest, port);

    /// <inheritdoc/>
    public void Dispose()
    {
        Array.ForEach(_hosts, host => host.Dispose());
        _client.Dispose();
        _switch.Dispose();
    }

    private void Plug(NetworkNamespace host, string port)
    {
        host.Configure($"link add eth0 type veth peer name {port} netns {_switch.Name}");
        host.Configure("link set eth0 up");
        _switch.Configure($"link set {port} master switch0 up");
    }
}
