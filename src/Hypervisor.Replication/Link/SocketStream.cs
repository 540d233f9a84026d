using System;
using System.IO;
using System.Net.Sockets;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Standby;

namespace Hypervisor.Replication.Link;

/// <summary>A connected socket as a stream that gives up by the clock, and says how it ended.</summary>
/// <remarks>
/// It stands below TLS as well: the limit holds for each read of the socket, so a peer that lets a TLS record trickle
/// is given up like one that lets a frame trickle. One thread reads, one writes, any thread disposes.
/// </remarks>
internal sealed class SocketStream(Socket socket, IHostClock clock) : Stream
{
    private const byte TlsFirst = 20; // types of a TLS record, RFC 8446, 5.1
    private const byte TlsLast = 23;

    private bool _awaitsTls; // the reader's own

    /// <summary>Host time from which reading fails; for the thread that reads.</summary>
    public long GiveUpNanos { private get; set; } = long.MaxValue;

    /// <summary>Whether the peer closed; what TLS makes of an end in the middle of a record does not say so.</summary>
    public bool HasEnded { get; private set; }

    /// <summary>The peer's address, for people.</summary>
    public string Peer { get; } = Describe(socket);

    /// <inheritdoc/>
    public override bool CanRead => true;

    /// <inheritdoc/>
    public override bool CanWrite => true;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>Sets how long one send may wait, and how late a read may notice that its limit is over.</summary>
    public void SetTimeout(int milliseconds)
    {
        socket.SendTimeout = milliseconds;
        socket.ReceiveTimeout = milliseconds;
    }

    /// <summary>Tells the peer that nothing more will come.</summary>
    public void FinishSending()
    {
        try
        {
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            throw Ended(e);
        }
    }

    /// <summary>What comes next must be TLS, or reading fails with a line that says so.</summary>
    public void AwaitTls() => _awaitsTls = true;

    /// <inheritdoc/>
    public override int Read(Span<byte> buffer)
    {
        while (true)
        {
            if (GiveUpNanos != long.MaxValue && clock.NowNanos > GiveUpNanos)
            {
                throw new LinkEndException(LinkLoss.Broken, "peer does not get on");
            }

            try
            {
                int count = socket.Receive(buffer);
                HasEnded |= count == 0 && !buffer.IsEmpty;
                if (_awaitsTls && count > 0 && buffer[0] is (< TlsFirst or > TlsLast))
                {
                    throw new LinkEndException(LinkLoss.Broken, "peer does not speak TLS");
                }

                _awaitsTls &= count == 0;
                return count;
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.TimedOut or SocketError.WouldBlock)
            {
                // Silence is the caller's matter until its limit is over.
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                throw Ended(e);
            }
        }
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        try
        {
            while (!buffer.IsEmpty)
            {
                buffer = buffer[socket.Send(buffer)..];
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            throw Ended(e);
        }
    }

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            socket.Dispose();
        }

        base.Dispose(disposing);
    }

    private static string Describe(Socket socket)
    {
        try
        {
            return socket.RemoteEndPoint?.ToString() ?? "unknown peer";
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return "unknown peer"; // gone already
        }
    }

    private LinkEndException Ended(Exception error) => error switch
    {
        SocketException { SocketErrorCode: SocketError.TimedOut or SocketError.WouldBlock }
            => new LinkEndException(LinkLoss.Broken, $"peer took nothing for {socket.SendTimeout} ms"),
        SocketException { SocketErrorCode: SocketError.ConnectionReset or SocketError.Shutdown }
            => new LinkEndException(LinkLoss.ClosedByPeer, error.Message),
        SocketException => new LinkEndException(LinkLoss.Broken, error.Message),
        _ => new LinkEndException(LinkLoss.Broken, "link was closed"),
    };
}
