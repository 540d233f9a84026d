using System;
using System.IO;
using System.Net.Sockets;
using Hypervisor.Replication.Link;

namespace Hypervisor.Tests.Replication.Link;

/// <summary>Passes bytes on between two connections, and keeps what went from the caller to the called side.</summary>
internal sealed class Relay : IDisposable
{
    private readonly MemoryStream _seen = new();
    private readonly LinkPair _far = new();
    private readonly Aside[] _ways;
    private readonly LinkPair _near;

    /// <param name="near">The caller's connection; owned.</param>
    /// <param name="changedAt">Which byte of the caller's loses its lowest bit, or gets it; -1: none.</param>
    public Relay(LinkPair near, int changedAt = -1)
    {
        _near = near;
        _ways =
        [
            new Aside(() => Pass(near.Called, _far.Caller, _seen, changedAt)),
            new Aside(() => Pass(_far.Caller, near.Called, null, -1)),
        ];
    }

    public PeerStream Caller { get; private set; } = null!;

    public PeerStream Called { get; private set; } = null!;

    public byte[] Seen
    {
        get
        {
            lock (_seen)
            {
                return _seen.ToArray();
            }
        }
    }

    /// <summary>The handshake of both ends, through the relay.</summary>
    /// <returns>What the sides ended with; null for one that is content.</returns>
    public (string? Caller, string? Called) Secure(LinkSecurity half, TimeSpan timeMax)
    {
        string? atCaller = null;
        var caller = new Aside(() => atCaller = LinkPair.Fault(() => Caller = half.Secure(
            _near.Caller, LinkRole.Caller, _near.Clock, timeMax)));
        string? atCalled = LinkPair.Fault(() => Called = half.Secure(
            _far.Called, LinkRole.Called, _far.Clock, timeMax));
        caller.Join();
        return (atCaller, atCalled);
    }

    public void Dispose()
    {
        Caller?.Dispose();
        Called?.Dispose();
        _near.Dispose();
        _far.Dispose();
        Array.ForEach(_ways, way => way.Join());
        _seen.Dispose();
    }

    private static void Pass(Socket from, Socket to, MemoryStream? seen, int changedAt)
    {
        byte[] bytes = new byte[64 << 10];
        int passed = 0;
        try
        {
            for (int count = from.Receive(bytes); count > 0; count = from.Receive(bytes))
            {
                if (changedAt >= passed && changedAt < passed + count)
                {
                    bytes[changedAt - passed] ^= 1;
                }

                passed += count;
                if (seen is not null)
                {
                    lock (seen)
                    {
                        seen.Write(bytes, 0, count);
                    }
                }

                _ = to.Send(bytes, 0, count, SocketFlags.None);
            }

            to.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // One end is gone.
        }
    }
}
