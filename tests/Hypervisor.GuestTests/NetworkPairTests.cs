using System;
using System.Net.Sockets;
using System.Text;
using Hypervisor.Backends.Network;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.GuestTests;

/// <summary>A connection to a guest whose primary is killed.</summary>
public sealed class NetworkPairTests
{
    private const string Guest = "10.77.0.2";
    private const int Echo = 7, End = 99, Witnessed = 20, DiskBytes = 1 << 20;

    [Theory]
    [InlineData("tap")]
    [InlineData("socket")]
    public void Rule_05_connection_of_the_guest_survives_the_death_of_the_primary(string backend)
    {
        Assert.SkipWhen(NetworkNamespace.WhyNot() is not null, $"no network namespace: {NetworkNamespace.WhyNot()}");
        using var space = new NetworkNamespace();
        using var folder = new TestFolder();
        using NetworkCable? cable = SetUp(space, backend);
        string[] networks = backend == "tap"
            ? ["tap,ifname=tap0", "tap,ifname=tap1"]
            : ["socket,connect=127.0.0.1:7001", "socket,connect=127.0.0.1:7001"];
        string[] both = ["--memory", "256M", "--witness", $"file:{folder["witness"]}"];
        using var standby = new GuestProcess(
            space, folder, "standby", ["standby", "--listen", "127.0.0.1:7000", "--net", networks[1], .. both]);
        standby.Await("listens on port");
        using var primary = new GuestProcess(
            space,
            folder,
            "primary",
            [
                "run", "--standby", "127.0.0.1:7000", "--net", networks[0], .. both,
                "--kernel", LinuxFiles.KernelPath, "--initrd", LinuxFiles.InitrdPath,
                "--append", $"console=ttyS0 quiet hvtest=net hvnet={Guest}/24",
            ]);
        primary.Await("hv: Protected");
        primary.Await("NET-READY");

        // Bytes that the guest acknowledged are never sent again: had it acknowledged more than the standby knows of,
        // the connection would end here.
        using Socket socket = space.Connect(Guest, Echo);
        int count = Converse(socket, 0, Witnessed);
        count = Converse(socket, count, Witnessed, whileUnderWay: primary.Kill);
        standby.Await("UNPROTECTED");
        _ = Converse(socket, count, Witnessed);

        space.Connect(Guest, End).Dispose();
        Assert.Equal(0, standby.WaitForEnd());
        Assert.Contains("the guest powered off", standby.Text);
    }

    [Fact]
    public void Connection_of_the_guest_survives_a_second_takeover_by_a_standby_that_came_later()
    {
        Assert.SkipWhen(NetworkNamespace.WhyNot() is not null, $"no network namespace: {NetworkNamespace.WhyNot()}");
        using var space = new NetworkNamespace();
        using var folder = new TestFolder();
        _ = SetUp(space, "tap");
        string[] both = ["--memory", "256M", "--witness", $"file:{folder["witness"]}"];
        const string FirstHost = "127.0.0.1:7000", SecondHost = "127.0.0.1:7001";
        string[] here =
            ["--net", "tap,ifname=tap0", "--drive", $"file={folder.Image("first.img", new byte[DiskBytes])}"];
        string[] there =
            ["--net", "tap,ifname=tap1", "--drive", $"file={folder.Image("second.img", new byte[DiskBytes])}"];
        using var second = new GuestProcess(
            space,
            folder,
            "second",
            ["standby", "--listen", SecondHost, "--standby", FirstHost, "--follow", .. there, .. both]);
        second.Await("listens on port");
        using var first = new GuestProcess(
            space,
            folder,
            "first",
            [
                "run", "--standby", SecondHost, .. here, .. both,
                "--kernel", LinuxFiles.KernelPath, "--initrd", LinuxFiles.InitrdPath,
                "--append", $"console=ttyS0 quiet hvtest=net hvnet={Guest}/24",
            ]);
        first.Await("hv: Protected");
        first.Await("NET-READY");
        using Socket socket = space.Connect(Guest, Echo);
        int count = Converse(socket, 0, Witnessed, whileUnderWay: first.Kill);
        second.Await("guest runs");
        count = Converse(socket, count, Witnessed);

        // The host of the first primary comes back, as a standby.
        using var third = new GuestProcess(
            space,
            folder,
            "third",
            ["standby", "--listen", FirstHost, "--standby", SecondHost, "--follow", .. here, .. both]);
        second.Await("hv: Protected");
        count = Converse(socket, count, Witnessed);
        count = Converse(socket, count, Witnessed, whileUnderWay: second.Kill);
        third.Await("guest runs");
        _ = Converse(socket, count, Witnessed);

        space.Connect(Guest, End).Dispose();
        Assert.Equal(0, third.WaitForEnd());
        Assert.Contains("the guest powered off", third.Text);
    }

    private static NetworkCable? SetUp(NetworkNamespace space, string backend)
    {
        if (backend == "socket")
        {
            // One peer at a time: the primary, and after its death the standby.
            TapBackend tap = space.Inside(() => new TapBackend("tap0", 1));
            ListeningPeers peers = space.Inside(() => new ListeningPeers("127.0.0.1", 7001));
            space.Configure("address add 10.77.0.1/24 dev tap0");
            space.Configure("link set tap0 up");
            return new NetworkCable(tap, new StreamBackend(peers));
        }

        space.Configure("link add bridge0 type bridge");
        space.Configure("address add 10.77.0.1/24 dev bridge0");
        space.Configure("link set bridge0 up");
        foreach (string tap in (string[])["tap0", "tap1"])
        {
            space.Configure($"tuntap add dev {tap} mode tap");
            space.Configure($"link set {tap} master bridge0 up");
        }

        return null;
    }

    // Sends several numbered lines before it looks for the answers, so that some are always under way.
    private static int Converse(Socket socket, int first, int count, Action? whileUnderWay = null)
    {
        const int LinesAhead = 4, LineBytes = 16;
        byte[] answer = new byte[LineBytes];
        for (int sent = first, seen = first; seen < first + count; seen++)
        {
            for (; sent < first + count && sent - seen < LinesAhead; sent++)
            {
                Assert.Equal(LineBytes, socket.Send(Line(sent)));
            }

            whileUnderWay?.Invoke();
            whileUnderWay = null;
            for (int at = 0; at < LineBytes;)
            {
                int got = socket.Receive(answer, at, LineBytes - at, SocketFlags.None);
                Assert.True(got > 0, $"the connection ended at line {seen}");
                at += got;
            }

            Assert.Equal(Encoding.ASCII.GetString(Line(seen)), Encoding.ASCII.GetString(answer));
        }

        return first + count;
    }

    private static byte[] Line(int number) => Encoding.ASCII.GetBytes($"line {number:D10}\n");
}
