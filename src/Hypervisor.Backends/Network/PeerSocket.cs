using System;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;

namespace Hypervisor.Backends.Network;

/// <summary>
/// A stream socket to one peer at a time; when it leaves, the next one (or the same again) takes over.
/// </summary>
/// <remarks>
/// Threads: one connects, receives and disconnects; another one sends; any thread disposes. What is sent without a peer
/// is lost, as on a cable that is not plugged in.
/// </remarks>
/// <param name="peers">Where peers come from; owned.</param>
internal sealed class PeerSocket(INetworkPeers peers) : IDisposable
{
    private const int QuietSeconds = 10, ProbeSeconds = 5, ProbeCount = 3;

    private readonly TaskCompletionSource _ending = new();

    // Written by the thread that receives, read by the one that sends and by who disposes.
    private Socket? _peer;

    /// <summary>Whether there is a peer, or was one when it was last heard of.</summary>
    public bool IsConnected => Volatile.Read(ref _peer) is not null; // pairs with TryConnect and Disconnect

    /// <summary>Has TCP send at once, and find out by itself that the peer's host is gone (rule 31).</summary>
    /// <remarks>
    /// A peer may be silent for as long as it likes, but its host must answer: 10 + 3 × 5 = 25 s after it did so last,
    /// it is left for the next peer.
    /// </remarks>
    /// <exception cref="SocketException">The connection is over already.</exception>
    public static void SetUpTcp(Socket socket)
    {
        socket.NoDelay = true;
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, QuietSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, ProbeSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, ProbeCount);
    }

    /// <summary>Waits for a peer. False once it was disposed, or when none will come.</summary>
    public bool TryConnect()
    {
        Socket? peer = peers.Wait(_ending.Task);
        if (peer is null)
        {
            return false;
        }

        // A full fence. Pairs with Dispose, which ends first and then looks for the peer; here it is the other way
        // round, so one of the two sees the other.
        Interlocked.Exchange(ref _peer, peer);
        if (_ending.Task.IsCompleted)
        {
            peer.Dispose(); // stopped meanwhile, before it was to be seen
        }

        return true;
    }

    /// <summary>Waits for bytes of the peer; 0: it is gone.</summary>
    public int Receive(Span<byte> target)
    {
        try
        {
            return Volatile.Read(ref _peer)?.Receive(target) ?? 0; // pairs with TryConnect and Disconnect
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            return 0;
        }
    }

    /// <summary>Sends all of it to the peer; may block. Without one, or when it goes meanwhile, it is lost.</summary>
    public void Send(ReadOnlySpan<byte> bytes)
    {
        Socket? peer = Volatile.Read(ref _peer); // pairs with TryConnect and Disconnect
        try
        {
            while (peer is not null && !bytes.IsEmpty)
            {
                bytes = bytes[peer.Send(bytes)..];
            }
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // This peer is gone; the thread that receives waits for the next one.
        }
    }

    /// <summary>Leaves the peer.</summary>
    public void Disconnect() => Interlocked.Exchange(ref _peer, null)?.Dispose(); // pairs with Send and Dispose

    /// <summary>Wakes the threads that wait, for good.</summary>
    public void Dispose()
    {
        _ending.TrySetResult();
        peers.Dispose();
        Volatile.Read(ref _peer)?.Dispose(); // pairs with TryConnect
    }
}
