using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Link;
using Xunit;

namespace Hypervisor.Tests.Replication.Link;

/// <summary>Callers that say nothing cost little, and keep nobody out.</summary>
public sealed class HandshakeGateTests : IDisposable
{
    private const int PatienceMillis = 20_000;
    private readonly LinkSecurity _half = LinkSecurity.PreSharedKey(new byte[LinkSecurity.KeyBytesMin]);
    private readonly HostClock _clock = new();
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly List<Socket> _callers = [];
    private readonly BlockingCollection<PeerStream> _peers = [];
    private readonly BlockingCollection<string> _refusals = [];

    public HandshakeGateTests()
    {
        _listener.Bind(new IPEndPoint(IPAddress.Any, 0));
        _listener.Listen(64);
    }

    public void Dispose()
    {
        _listener.Dispose();
        _callers.ForEach(caller => caller.Dispose());
        while (_peers.TryTake(out PeerStream? peer))
        {
            peer.Dispose();
        }

        _peers.Dispose();
        _refusals.Dispose();
    }

    [Fact]
    public void Silent_callers_do_not_keep_a_good_one_out()
    {
        using HandshakeGate gate = NewGate(TimeSpan.FromMinutes(1));
        for (int i = 0; i < HandshakeGate.PendingPerAddressMax; i++)
        {
            gate.Enter(Call("127.0.0.2"));
        }

        gate.Enter(Call("127.0.0.1"));
        using PeerStream good = _half.Secure(_callers[^1], LinkRole.Caller, _clock, LinkSecurity.HandshakeTimeMax);

        Assert.True(_peers.TryTake(
            out PeerStream? peer, PatienceMillis, TestContext.Current.CancellationToken));
        peer.Dispose();
        Assert.Empty(_refusals);
    }

    [Fact]
    public void Silent_caller_is_closed_at_the_deadline_and_its_place_is_free()
    {
        using HandshakeGate gate = NewGate(TimeSpan.FromMilliseconds(200));
        for (int i = 0; i < HandshakeGate.PendingPerAddressMax; i++)
        {
            gate.Enter(Call("127.0.0.1"));
        }

        foreach (Socket caller in _callers)
        {
            caller.ReceiveTimeout = PatienceMillis;
            AssertClosed(caller);
        }

        Assert.StartsWith(
            "127.0.0.1 refused: peer does not get on; this side expects TLS 1.3", TakeRefusal(gate),
            StringComparison.Ordinal);
        AwaitGoodCaller(gate);
    }

    [Fact]
    public void One_address_gets_a_part_of_the_places()
    {
        using HandshakeGate gate = NewGate(TimeSpan.FromMinutes(1));
        for (int i = 0; i <= HandshakeGate.PendingPerAddressMax; i++)
        {
            gate.Enter(Call("127.0.0.2"));
        }

        Assert.Equal("127.0.0.2 refused: 4 handshakes of this address are pending already", TakeRefusal(gate));
        AssertClosed(_callers[^1]);
    }

    [Fact]
    public void Too_many_pending_handshakes_are_refused()
    {
        using HandshakeGate gate = NewGate(TimeSpan.FromMinutes(1));
        for (int i = 0; i < HandshakeGate.PendingMax; i++)
        {
            gate.Enter(Call($"127.0.1.{1 + (i / HandshakeGate.PendingPerAddressMax)}"));
        }

        Assert.Empty(_refusals);
        gate.Enter(Call("127.0.0.1"));

        Assert.Equal("127.0.0.1 refused: 16 handshakes are pending already", TakeRefusal(gate));
        AssertClosed(_callers[^1]);
    }

    [Fact]
    public void Flood_of_refusals_is_one_line_until_it_is_handled()
    {
        using HandshakeGate gate = NewGate(TimeSpan.FromMinutes(1));
        for (int i = 0; i < HandshakeGate.PendingPerAddressMax + 20; i++)
        {
            gate.Enter(Call("127.0.0.1"));
        }

        Assert.Single(_refusals);
        _ = TakeRefusal(gate);
        gate.Enter(Call("127.0.0.1"));
        Assert.Single(_refusals);
    }

    [Fact]
    public void Disposing_breaks_handshakes_at_once()
    {
        HandshakeGate gate = NewGate(TimeSpan.FromMinutes(10));
        gate.Enter(Call("127.0.0.1"));

        gate.Dispose(); // hangs for ten minutes if it does not

        AssertClosed(_callers[0]);
        Assert.Empty(_refusals);
    }

    private static void AssertClosed(Socket caller)
    {
        caller.ReceiveTimeout = PatienceMillis;
        try
        {
            Assert.Equal(0, caller.Receive(new byte[1]));
        }
        catch (SocketException e)
        {
            Assert.Equal(SocketError.ConnectionReset, e.SocketErrorCode);
        }
    }

    private HandshakeGate NewGate(TimeSpan timeMax) => new(_half, timeMax, _clock, _peers.Add, _refusals.Add);

    /// <summary>Connects from an address of loopback's.</summary>
    private Socket Call(string from)
    {
        var caller = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        caller.Bind(new IPEndPoint(IPAddress.Parse(from), 0));
        caller.Connect(IPAddress.Loopback, ((IPEndPoint)_listener.LocalEndPoint!).Port);
        _callers.Add(caller);
        return _listener.Accept();
    }

    private string TakeRefusal(HandshakeGate gate)
    {
        Assert.True(_refusals.TryTake(out string? line, PatienceMillis), "nobody was refused");
        gate.RefusalHandled();
        return line;
    }

    // The place is free a moment after the socket is closed.
    private void AwaitGoodCaller(HandshakeGate gate)
    {
        using var never = new ManualResetEventSlim();
        for (int i = 0; i < 100; i++)
        {
            gate.Enter(Call("127.0.0.1"));
            try
            {
                using PeerStream good = _half.Secure(
                    _callers[^1], LinkRole.Caller, _clock, LinkSecurity.HandshakeTimeMax);
                return;
            }
            catch (LinkEndException)
            {
                never.Wait(20, TestContext.Current.CancellationToken);
            }
        }

        Assert.Fail("no place becomes free");
    }
}
