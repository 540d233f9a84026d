using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using Hypervisor.TestKit;

namespace Hypervisor.Benchmarks.Network;

/// <summary>
/// Two hosts, a client and a witness on one switch, each in a network namespace of its own; the guest's NIC is bridged
/// to it.
/// </summary>
internal sealed class TestBed : IDisposable
{
    /// <summary>The guest's address, on whichever host it runs.</summary>
    public const string Guest = "10.77.0.2";

    private const string WitnessAddress = "10.77.0.21";
    private const string Tap = "tap0", Cable = "eth0", Storm = "storm0";

    private readonly NetworkNamespace _switch = new();
    private readonly NetworkNamespace _client = new();
    private readonly NetworkNamespace _witness = new();
    private readonly NetworkNamespace[] _hosts = [new(), new()];
    private readonly WeatherCable?[] _storms = new WeatherCable?[2];
    private readonly FileStream?[] _counters = new FileStream?[2];
    private HvProcess? _etcd;

    /// <summary>Lays the cables.</summary>
    public TestBed()
    {
        _switch.Configure("link add switch0 type bridge");
        _switch.Configure("link set switch0 up");
        Plug(_client, "client");
        _client.Configure($"address add 10.77.0.1/24 dev {Cable}");
        Plug(_witness, "witness");
        _witness.Configure($"address add {WitnessAddress}/24 dev {Cable}");
        for (int i = 0; i < _hosts.Length; i++)
        {
            Plug(_hosts[i], CableOf(i));
            _hosts[i].Configure("link add bridge0 type bridge");
            _hosts[i].Configure($"address add {AddressOf(i)}/24 dev bridge0");
            _hosts[i].Configure("link set bridge0 up");
            _hosts[i].Configure($"tuntap add dev {Tap} mode tap");
            _hosts[i].Configure($"link set {Tap} master bridge0 up");
            _hosts[i].Configure($"link set {Cable} master bridge0 up");
        }
    }

    /// <summary>Where a host's `hv` is reached.</summary>
    public static string AddressOf(int host) => $"10.77.0.{11 + host}";

    /// <summary>Starts `hv` on a host.</summary>
    public HvProcess Start(int host, string hv, IEnumerable<string> words)
        => Start(_hosts[host], hv, words);

    /// <summary>Starts etcd on the witness's host.</summary>
    /// <param name="etcd">The program.</param>
    /// <param name="folder">Where it keeps its data.</param>
    /// <returns>`--witness` for `hv`.</returns>
    public string StartWitness(string etcd, string folder)
    {
        const string Client = $"http://{WitnessAddress}:2379", Peer = $"http://{WitnessAddress}:2380";
        _etcd = Start(
            _witness,
            etcd,
            [
                "--data-dir", folder, "--listen-client-urls", Client, "--advertise-client-urls", Client,
                "--listen-peer-urls", Peer, "--initial-advertise-peer-urls", Peer,
                "--initial-cluster", $"default={Peer}",
            ]);
        _ = _etcd.WaitFor(HvLines.EtcdServes(), TimeSpan.FromMinutes(1));
        return $"etcd:{Client}";
    }

    /// <summary>Pulls a host's cables out; <see cref="SetWeather"/> plugs one in again.</summary>
    public void Pull(int host)
    {
        Unplug(host, isStorm: false);
        Unplug(host, isStorm: true);
    }

    /// <summary>Lays another cable to a host, one with weather, beside the one that is fair.</summary>
    /// <param name="host">Which host.</param>
    /// <param name="seed">What is lost, and when the rest arrives, follows from it.</param>
    public void AddStorm(int host, int seed)
    {
        _storms[host] = new WeatherCable((_hosts[host], Storm), (_switch, StormOf(host)), seed);
        _hosts[host].Configure($"link set {Storm} master bridge0");
        _switch.Configure($"link set {StormOf(host)} master switch0");
    }

    /// <summary>Sets the weather between a host and all others; null for fair weather.</summary>
    /// <remarks>One cable is in use at a time: two would be a loop.</remarks>
    public void SetWeather(int host, Weather? weather)
    {
        _storms[host]!.Set(weather ?? default);
        bool isStorm = weather is not null;
        Unplug(host, !isStorm);
        _hosts[host].Configure($"link set {(isStorm ? Storm : Cable)} up");
        _switch.Configure($"link set {(isStorm ? StormOf(host) : CableOf(host))} up");
    }

    /// <summary>Lets nothing through in one direction of a host's cables; the other direction works on.</summary>
    /// <param name="host">Which host.</param>
    /// <param name="isDeaf">Nothing reaches the host; otherwise nothing leaves it.</param>
    public void Drop(int host, bool isDeaf)
    {
        // A classic BPF program of one instruction: return TC_ACT_SHOT.
        // Spec: tc-bpf(8), direct-action; Linux include/uapi/linux/pkt_cls.h.
        foreach (string cable in (string[])[CableOf(host), StormOf(host)])
        {
            Traffic($"qdisc add dev {cable} clsact");
            Traffic(
                $"filter add dev {cable} {(isDeaf ? "egress" : "ingress")} bpf direct-action bytecode", "1,6 0 0 2");
        }
    }

    /// <summary>Ends <see cref="Drop"/>.</summary>
    public void EndDrop(int host)
    {
        Traffic($"qdisc del dev {CableOf(host)} clsact");
        Traffic($"qdisc del dev {StormOf(host)} clsact");
    }

    /// <summary>Frames that the `hv` of a host has sent in the guest's name so far.</summary>
    public long FramesFrom(int host)
    {
        // The file belongs to the namespace of the thread that opened it.
        FileStream counters = _counters[host] ??= _hosts[host].Inside(
            () => new FileStream("/proc/thread-self/net/dev", FileMode.Open, FileAccess.Read, FileShare.ReadWrite, 1));
        counters.Position = 0;
        using var reader = new StreamReader(counters, leaveOpen: true);
        string[] fields = reader.ReadToEnd().Split('\n')
            .Select(line => line.Split([' ', ':'], StringSplitOptions.RemoveEmptyEntries))
            .First(line => line is [Tap, ..]);
        return long.Parse(fields[2], CultureInfo.InvariantCulture); // name, then received by the kernel: bytes, packets
    }

    /// <summary>A socket of the client for ICMP.</summary>
    public Socket OpenIcmp()
        => _client.Inside(() => new Socket(AddressFamily.InterNetwork, SocketType.Raw, ProtocolType.Icmp)
        {
            ReceiveTimeout = 5000,
        });

    /// <summary>Calls the guest.</summary>
    public Socket Connect(int port) => _client.Connect(Guest, port);

    /// <inheritdoc/>
    public void Dispose()
    {
        _etcd?.Dispose();
        Array.ForEach(_counters, file => file?.Dispose());
        Array.ForEach(_storms, cable => cable?.Dispose());
        Array.ForEach(_hosts, host => host.Dispose());
        _witness.Dispose();
        _client.Dispose();
        _switch.Dispose();
    }

    private static string CableOf(int host) => $"host{host}";

    private static string StormOf(int host) => $"storm{host}";

    private static HvProcess Start(NetworkNamespace space, string program, IEnumerable<string> words)
        => new("setpriv", ["--pdeathsig", "KILL", "ip", "netns", "exec", space.Name, program, .. words], _ => true);

    private void Traffic(string words, params string[] more)
        => _ = HostCommand.Output("tc", ["-n", _switch.Name, .. words.Split(' '), .. more]);

    // At both ends: each switch forgets who is behind the cable.
    private void Unplug(int host, bool isStorm)
    {
        _switch.Configure($"link set {(isStorm ? StormOf(host) : CableOf(host))} down");
        _hosts[host].Configure($"link set {(isStorm ? Storm : Cable)} down");
    }

    private void Plug(NetworkNamespace host, string port)
    {
        host.Configure($"link add {Cable} type veth peer name {port} netns {_switch.Name}");
        host.Configure($"link set {Cable} up");
        _switch.Configure($"link set {port} master switch0 up");
    }
}
