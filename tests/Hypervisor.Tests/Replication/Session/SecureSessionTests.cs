using System;
using System.Collections.Generic;
using System.Net;
using System.Net.Sockets;
using Hypervisor.Replication.Link;
using Hypervisor.Tests.Replication.Link;
using Xunit;

namespace Hypervisor.Tests.Replication.Session;

/// <summary>Pairs over an encrypted link, and halves that do not belong together.</summary>
public sealed class SecureSessionTests : IDisposable
{
    private readonly TestAuthority _authority = new();

    public void Dispose() => _authority.Dispose();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Pair_is_protected_and_taken_over(bool isByKey)
    {
        using var pair = new SessionPair(primarySecurity: Half(isByKey), standbySecurity: Half(isByKey));
        pair.Protect();
        pair.Await(() => pair.PrimaryMachine.Step > 60, "the guest does not get on");

        pair.Primary!.Dispose();
        pair.Await(() => pair.StandbyLog.RunningGeneration != 0, "the standby did not take over");
        long step = pair.StandbyMachine.Step;
        pair.Await(() => pair.StandbyMachine.Step > step + 20, "the guest stands still");

        pair.StandbyMachine.Pause();
        Assert.Equal(pair.StandbyMachine.Step, SessionPair.AssertContiguous(pair.CombinedOutput()));
        pair.StandbyMachine.Resume();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Planned_end_arrives(bool isByKey)
    {
        using var pair = new SessionPair(primarySecurity: Half(isByKey), standbySecurity: Half(isByKey));
        pair.Protect();

        pair.Primary!.PlanEnd("guest shut down");
        pair.Await(() => pair.PrimaryLog.IsPlannedEnd is not null, "the primary did not end");
        pair.Await(() => pair.StandbyLog.IsPlannedEnd is not null, "the standby did not end");

        Assert.True(pair.PrimaryLog.IsPlannedEnd);
        Assert.True(pair.StandbyLog.IsPlannedEnd);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Plain_primary_and_encrypted_standby_each_say_what_they_expect(bool isByKey)
    {
        using var pair = new SessionPair(standbySecurity: Half(isByKey));
        pair.StartPrimary();

        pair.Await(() => pair.PrimaryLog.Says("this side expects a plain link"), "the primary does not say");
        pair.Await(() => pair.StandbyLog.Says("this side expects TLS 1.3 with"), "the standby does not say");
        Assert.Equal(0u, pair.Primary!.Statistics.Status.AckedEpoch);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Encrypted_primary_and_plain_standby_each_say_what_they_expect(bool isByKey)
    {
        using var pair = new SessionPair(primarySecurity: Half(isByKey));
        pair.StartPrimary();

        pair.Await(() => pair.PrimaryLog.Says("this side expects TLS 1.3 with"), "the primary does not say");
        pair.Await(() => pair.StandbyLog.Says("peer speaks TLS; this side expects a plain"), "the standby is silent");
        Assert.Equal(0u, pair.Primary!.Statistics.Status.AckedEpoch);
    }

    [Fact]
    public void Refusal_that_repeats_is_said_once()
    {
        byte[] other = new byte[LinkSecurity.KeyBytesMin];
        other[0] = 1;
        using var pair = new SessionPair(
            primarySecurity: LinkSecurity.PreSharedKey(other), standbySecurity: Half(isByKey: true));
        pair.StartPrimary();

        pair.Await(() => pair.Standby.HandshakesRefused > 5, "the primary does not try again");

        Assert.Equal(2, pair.StandbyLog.ToString().Split("peer has another key").Length);
        Assert.True(pair.PrimaryLog.ToString().Split("peer hung up in the handshake").Length <= 2);
    }

    [Fact]
    public void Silent_strangers_do_not_keep_the_primary_out()
    {
        using var pair = new SessionPair(primarySecurity: Half(true), standbySecurity: Half(true));
        var strangers = new List<Socket>();
        for (int i = 0; i < HandshakeGate.PendingPerAddressMax; i++)
        {
            var stranger = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            strangers.Add(stranger);
            stranger.Bind(new IPEndPoint(IPAddress.Parse("127.0.0.2"), 0));
            stranger.Connect(pair.Standby.Address);
        }

        pair.Protect();

        strangers.ForEach(stranger => stranger.Dispose());
    }

    private LinkSecurity Half(bool isByKey)
        => isByKey ? LinkSecurity.PreSharedKey(new byte[LinkSecurity.KeyBytesMin]) : _authority.Half();
}
