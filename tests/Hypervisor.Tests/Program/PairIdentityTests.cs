using Hypervisor.CommandLine;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Link;
using Hypervisor.Sessions;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class PairIdentityTests
{
    [Theory]
    [InlineData("localhost", PairTaints.SameHost)]
    [InlineData("127.0.0.1", PairTaints.SameHost)]
    [InlineData("::1", PairTaints.SameHost)]
    [InlineData("192.0.2.7", PairTaints.Insecure)]
    [InlineData("standby.example", PairTaints.Insecure)]
    public void Rule_32_peer_on_this_machine_is_known(string host, PairTaints expected)
        => Assert.Equal(
            expected,
            PairIdentity.Taints(new ProtectionConfig { Witness = WitnessText.InFile("") }, new Endpoint(host, 7000)));

    [Fact]
    public void Encrypted_link_between_two_hosts_is_no_taint()
    {
        var terms = new ProtectionConfig
        {
            Witness = WitnessText.InFile(""),
            Link = LinkSecurity.PreSharedKey(new byte[LinkSecurity.KeyBytesMin]),
        };

        Assert.Equal(PairTaints.None, PairIdentity.Taints(terms, new Endpoint("192.0.2.7", 7000)));
    }

    [Theory]
    [InlineData(PairTaints.None, "Protected")]
    [InlineData(PairTaints.Insecure, "Protected, link is not encrypted")]
    [InlineData(PairTaints.SameHost, "Protected, both halves on this machine")]
    [InlineData(
        PairTaints.SameHost | PairTaints.AckFromMemory,
        "Protected, both halves on this machine, acknowledged from memory")]
    public void Rule_32_status_says_that_both_halves_share_a_machine(PairTaints taints, string expected)
        => Assert.Equal(expected, PairIdentity.Describe(PrimaryState.Protected, taints));
}
