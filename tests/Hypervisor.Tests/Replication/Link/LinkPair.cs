using System;
using System.Net;
using System.Net.Sockets;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Link;

namespace Hypervisor.Tests.Replication.Link;

/// <summary>Two sockets that are connected, and handshakes over them.</summary>
internal sealed class LinkPair : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);
    private PeerStream? _callerStream, _calledStream;

    public LinkPair()
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(1);
        Caller = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        Caller.Connect(listener.LocalEndPoint!);
        Called = listener.Accept();
    }

    public HostClock Clock { get; } = new();

    public Socket Caller { get; }

    public Socket Called { get; }

    public PeerStream CallerStream => _callerStream!;

    public PeerStream CalledStream => _calledStream!;

    /// <summary>Both handshakes.</summary>
    /// <returns>The lines that the sides ended with; null for a side that is content.</returns>
    public (string? Caller, string? Called) Secure(LinkSecurity caller, LinkSecurity called)
    {
        string? atCaller = null;
        var other = new Aside(() => atCaller = Fault(() => _callerStream = Run(caller, Caller, LinkRole.Caller)));
        string? fault = Fault(() => _calledStream = Run(called, Called, LinkRole.Called));
        other.Join();
        return (atCaller, fault);
    }

    public static string? Fault(Action action)
    {
        try
        {
            action();
            return null;
        }
        catch (LinkEndException e)
        {
            return e.Message;
        }
    }

    public void Dispose()
    {
        _callerStream?.Dispose();
        _calledStream?.Dispose();
        Caller.Dispose();
        Called.Dispose();
    }

    private PeerStream Run(LinkSecurity security, Socket socket, LinkRole role)
        => security.Secure(socket, role, Clock, s_patience);
}
