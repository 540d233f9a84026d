using System;
using System.Diagnostics;
using System.IO;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Hypervisor.Backends.Network;
using Hypervisor.Machine;
using Hypervisor.Machine.Boot;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.GuestTests;

/// <summary>Debian's virtio_net against a peer in a network namespace of the host.</summary>
public sealed class NetworkTests
{
    private const string Guest = "10.77.0.2", Peer = "10.77.0.1/24";
    private const int Echo = 7, Sum = 8, File = 19, End = 99;

    public static TheoryData<string> Backends() => new("tap", "tap with two queues", "socket");

    [Theory]
    [MemberData(nameof(Backends))]
    public void Debian_is_reached_and_moves_bulk_data_both_ways(string backend)
    {
        Assert.SkipWhen(NetworkNamespace.WhyNot() is not null, $"no network namespace: {NetworkNamespace.WhyNot()}");
        using var space = new NetworkNamespace();
        using var relay = new Relay(space, backend);
        space.Configure($"address add {Peer} dev tap0");
        space.Configure("link set tap0 up");
        var boot = new BootRequest
        {
            CpuCount = backend.Contains("two", StringComparison.Ordinal) ? 2 : 1,
            Kernel = BootFile.Open("kernel", LinuxFiles.KernelPath),
            Initrd = LinuxFiles.Initrd,
            CommandLine = $"console=ttyS0 quiet hvtest=net hvnet={Guest}/24",
        };
        string file = "";
        byte[] data = RandomNumberGenerator.GetBytes(4 << 20);
        string sum = "";

        (MachineEnd end, string console) = GuestRun.Serve(boot, relay.ForGuest, "NET-READY", () =>
        {
            Assert.Equal(0, Ping(space));
            Assert.Equal("hello", Encoding.ASCII.GetString(Exchange(space, Echo, "hello"u8)));
            file = Convert.ToHexStringLower(SHA256.HashData(Exchange(space, File, [])));
            sum = Encoding.ASCII.GetString(Exchange(space, Sum, data));
            _ = Exchange(space, End, []);
        });

        Assert.Contains($"NET-READY {file}", console);
        Assert.StartsWith(Convert.ToHexStringLower(SHA256.HashData(data)), sum);
        Assert.Equal(new MachineEnd(MachineEndKind.PowerOff), end);
    }

    [Fact]
    public void Debian_gets_a_lease_from_passt_and_is_reached_at_forwarded_ports()
    {
        int[] ports = [FreePort(), FreePort()];
        var options = new NetworkOptions(NetworkKind.User)
        {
            Forwards =
            [
                new HostForward(IsTcp: true, "127.0.0.1", ports[0], Echo),
                new HostForward(IsTcp: true, "127.0.0.1", ports[1], End),
            ],
        };
        Assert.SkipUnless(IsInPath("passt"), "no passt");
        INetworkBackend passt = options.Open(startsNow: true, static _ => { });
        var boot = new BootRequest
        {
            Kernel = BootFile.Open("kernel", LinuxFiles.KernelPath),
            Initrd = LinuxFiles.Initrd,
            CommandLine = "console=ttyS0 quiet hvtest=net hvnet=dhcp",
        };

        (MachineEnd end, string console) = GuestRun.Serve(boot, passt, "NET-READY", () =>
        {
            using (var echo = new TcpClient("127.0.0.1", ports[0]) { ReceiveTimeout = 60_000 })
            {
                byte[] data = RandomNumberGenerator.GetBytes(100_000);
                echo.GetStream().Write(data);
                byte[] answer = new byte[data.Length];
                echo.GetStream().ReadExactly(answer);
                Assert.Equal(data, answer);
            }

            using var ending = new TcpClient("127.0.0.1", ports[1]);
            ending.GetStream().Write("bye\n"u8);
        });

        Assert.Contains("NET-UP ", console);
        Assert.Equal(new MachineEnd(MachineEndKind.PowerOff), end);
    }

    private static bool IsInPath(string program)
        => Array.Exists(
            (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':'),
            folder => System.IO.File.Exists(Path.Combine(folder, program)));

    private static int FreePort()
    {
        using var listener = new TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        return ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static byte[] Exchange(NetworkNamespace space, int port, ReadOnlySpan<byte> request)
    {
        using Socket socket = space.Connect(Guest, port);
        for (ReadOnlySpan<byte> rest = request; !rest.IsEmpty;)
        {
            rest = rest[socket.Send(rest)..];
        }

        using var stream = new NetworkStream(socket);
        socket.Shutdown(SocketShutdown.Send);
        using var answer = new MemoryStream();
        stream.CopyTo(answer);
        return answer.ToArray();
    }

    // The kernel's own echo, without a program in the guest; busybox is what the guest has, too.
    private static int Ping(NetworkNamespace space)
    {
        string[] words = ["netns", "exec", space.Name, LinuxFiles.BusyboxPath, "ping", "-c", "2", "-w", "20", Guest];
        using Process ping = Process.Start(new ProcessStartInfo("ip", words) { RedirectStandardOutput = true })!;
        _ = ping.StandardOutput.ReadToEnd();
        ping.WaitForExit();
        return ping.ExitCode;
    }

    /// <summary>A TAP interface in the namespace: the guest's own, or at the other end of a stream.</summary>
    private sealed class Relay : IDisposable
    {
        private readonly NetworkCable? _cable;

        public Relay(NetworkNamespace space, string backend)
        {
            int queues = backend.Contains("two", StringComparison.Ordinal) ? 2 : 1;
            TapBackend tap = space.Inside(() => new TapBackend("tap0", queues));
            ForGuest = tap;
            if (backend == "socket")
            {
                var peers = new ListeningPeers("127.0.0.1", 0);
                ForGuest = new StreamBackend(new CalledPeer("127.0.0.1", peers.Port));
                _cable = new NetworkCable(tap, new StreamBackend(peers));
            }
        }

        public INetworkBackend ForGuest { get; }

        public void Dispose() => _cable?.Dispose();
    }
}
