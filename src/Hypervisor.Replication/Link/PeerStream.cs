using System;
using System.IO;
using System.Net.Sockets;
using System.Threading;
using Hypervisor.Replication.Standby;

namespace Hypervisor.Replication.Link;

/// <summary>A connected byte stream to the peer, plain or encrypted; its handshake is done.</summary>
/// <remarks>
/// One thread reads, one writes, any thread breaks it. Whatever ends it is a <see cref="LinkEndException"/>.
/// <para>
/// The end of the stream is not taken for an end of the data: frames have a length, and a session ends by a message.
/// So TLS's close_notify is neither sent nor waited for; a process that dies could not send it anyway.
/// </para>
/// </remarks>
internal sealed class PeerStream : IDisposable
{
    private readonly SocketStream _socket;
    private readonly Stream _stream; // the socket's own, or TLS above it
    private int _isDisposed; // 0 or 1, by exchange

    /// <summary>Takes both streams over.</summary>
    public PeerStream(SocketStream socket, Stream stream, string expects)
    {
        _socket = socket;
        _stream = stream;
        Expects = expects;
    }

    /// <summary>What this side takes from a peer: `a plain link`, and so on; for a line about a mismatch.</summary>
    public string Expects { get; }

    /// <summary>The peer's address, for people.</summary>
    public string Peer => _socket.Peer;

    /// <summary>Sets how long one send may wait, and how late a read may notice that its limit is over.</summary>
    public void SetTimeout(int milliseconds)
    {
        try
        {
            _socket.SetTimeout(milliseconds);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Gone already: the first read or write says so.
        }
    }

    /// <summary>Reads what is there, at least a byte; waits until <paramref name="giveUpNanos"/>.</summary>
    /// <returns>0 when the peer has closed.</returns>
    /// <exception cref="LinkEndException">The link is over.</exception>
    public int Receive(Span<byte> target, long giveUpNanos)
    {
        _socket.GiveUpNanos = giveUpNanos;
        try
        {
            return _stream.Read(target);
        }
        catch (Exception e) when (IsOfTls(e))
        {
            throw Ended(e);
        }
    }

    /// <summary>Sends all of it.</summary>
    /// <exception cref="LinkEndException">The link is over.</exception>
    public void Send(ReadOnlySpan<byte> bytes)
    {
        try
        {
            _stream.Write(bytes);
        }
        catch (Exception e) when (IsOfTls(e))
        {
            throw Ended(e);
        }
    }

    /// <summary>Tells the peer that nothing more will come.</summary>
    /// <exception cref="LinkEndException">The link is over.</exception>
    public void FinishSending() => _socket.FinishSending();

    /// <summary>Breaks the connection at once: a thread that reads or writes gets an exception.</summary>
    public void Break() => _socket.Dispose();

    /// <summary>Frees everything; no thread may be reading or writing.</summary>
    public void Dispose()
    {
        _socket.Dispose();
        if (Interlocked.Exchange(ref _isDisposed, 1) == 0)
        {
            _stream.Dispose();
        }
    }

    private static bool IsOfTls(Exception e)
        => e is not LinkEndException
            && e is IOException or ObjectDisposedException or InvalidOperationException;

    private LinkEndException Ended(Exception e) => _socket.HasEnded
        ? new LinkEndException(LinkLoss.ClosedByPeer, "peer closed the link in the middle of a TLS record")
        : new LinkEndException(LinkLoss.Broken, $"TLS: {LinkSecurity.OneLine(e)}");
}
