using System;
using System.Collections.Generic;
using Hypervisor.Backends.Network;
using Hypervisor.CommandLine;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class NetTextTests
{
    private static readonly Guid s_machine = new("00112233-4455-6677-8899-aabbccddeeff");

    [Theory]
    [InlineData("tap,ifname=tap0,mac=52:54:00:12:34:56,queues=4,mtu=9000")]
    [InlineData("user")]
    [InlineData("user,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=udp::5353-:53")]
    [InlineData("user,hostfwd=tcp:::1:80-:8080")]
    [InlineData("socket,listen=0.0.0.0:7000")]
    [InlineData("socket,connect=[::1]:7000")]
    [InlineData("socket,fd=5,mac=02:00:00:00:00:01")]
    public void What_is_written_reads_the_same(string text)
    {
        NetworkOptions network = Assert.Single(NetText.ParseAll("--net", [text], s_machine));

        NetworkOptions again = Assert.Single(NetText.ParseAll("--net", [NetText.Write(network)], Guid.Empty));

        Assert.Equal(network with { Forwards = [] }, again with { Forwards = [] });
        Assert.Equal(network.Forwards, again.Forwards);
    }

    [Fact]
    public void Every_word_reaches_the_options()
    {
        List<NetworkOptions> networks = NetText.ParseAll(
            "--net",
            ["tap,ifname=a,,b,queues=2,mac=52:54:00:aa:bb:cc", "user,hostfwd=tcp:10.0.0.1:80-:8080,mtu=1400"],
            s_machine);

        Assert.Equal(
            new NetworkOptions(NetworkKind.Tap)
            {
                InterfaceName = "a,b",
                QueueCount = 2,
                Mac = new MacAddress(0x5254_00AA_BBCC),
            },
            networks[0] with { Forwards = networks[0].Forwards });
        Assert.Equal([new HostForward(true, "10.0.0.1", 80, 8080)], networks[1].Forwards);
        Assert.Equal(1400, networks[1].MtuBytes);
    }

    [Fact]
    public void Address_that_is_not_given_is_the_machine_s_own_and_the_same_on_both_halves()
    {
        List<NetworkOptions> here = NetText.ParseAll("--net", ["user", "user"], s_machine);
        List<NetworkOptions> there = NetText.ParseAll("--net", ["tap,ifname=x", "user"], s_machine);
        List<NetworkOptions> another = NetText.ParseAll("--net", ["user"], Guid.Empty);

        Assert.Equal(here[0].Mac, there[0].Mac);
        Assert.NotEqual(here[0].Mac, here[1].Mac);
        Assert.NotEqual(here[0].Mac, another[0].Mac);
        Assert.Equal(0x525400UL, here[0].Mac.Value >> 24);
    }

    [Fact]
    public void None_means_no_nic()
        => Assert.Empty(NetText.ParseAll("--net", ["none"], s_machine));
}
