using System;
using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Threading;
using Hypervisor.Core;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Link;

/// <summary>One TCP connection to the peer: a thread that reads frames, a thread that writes them.</summary>
/// <remarks>
/// Everything that arrives is checked before it costs anything: the header before a buffer for the payload is
/// taken, the
/// payload before it is handed on. Whatever is wrong ends this connection with one line, and harms nothing else. A
/// frame that was begun must be complete within a limit, a send must get on within one, so a stalled peer is noticed
/// (rule 31); silence between frames is the session's matter.
/// </remarks>
internal sealed class TcpLink : IDisposable
{
    private const int SendBufferBytes = 256 << 10;
    private const int QueuedMax = 65_536; // messages; bulk ones are bounded by their pools long before
    private const int CreditMax = 512;       // 32 MiB received and not yet handled, in units of a pooled buffer
    private const long NanosPerSecond = 1_000_000_000;
    private const long SlowestBytesPerSecond = 1 << 20; // a frame may take longer the larger it is

    private readonly Socket _socket;
    private readonly ILinkEvents _events;
    private readonly IHostClock _clock;
    private readonly long _progressNanos;
    private readonly SendQueue _queue = new(QueuedMax);
    private readonly ReceivePool _pool = new();
    private readonly SemaphoreSlim _credit = new(CreditMax);
    private readonly ConcurrentQueue<int> _taken = new(); // credit of each message that is not handled, in order
    private readonly Thread _reader;
    private readonly Thread _writer;
    private int _isDisposed; // 0 or 1, by exchange
    private int _isOver; // 0 or 1, by exchange: who ends the link reports it

    /// <summary>Takes a connected socket over. Nothing happens before <see cref="Start"/>.</summary>
    public TcpLink(int id, Socket socket, long progressNanos, IHostClock clock, ILinkEvents events)
    {
        Id = id;
        _socket = socket;
        _events = events;
        _clock = clock;
        _progressNanos = progressNanos;
        int progressMillis = (int)Math.Max(1, progressNanos / 1_000_000);
        socket.NoDelay = true;
        socket.SendTimeout = progressMillis;
        socket.ReceiveTimeout = progressMillis;
        _reader = new Thread(Read) { Name = $"link-{id}-reader", IsBackground = true };
        _writer = new Thread(Write) { Name = $"link-{id}-writer", IsBackground = true };
    }

    /// <summary>Number that the session knows it by.</summary>
    public int Id { get; }

    /// <summary>
    /// Called on the writer's thread with epoch and time when the socket has taken the whole END of an epoch.
    /// </summary>
    public Action<ulong, long>? OnEndTaken { get; init; }

    /// <summary>The peer's address, for people.</summary>
    public string Peer => _socket.RemoteEndPoint?.ToString() ?? "unknown peer";

    /// <summary>Begins to read and write.</summary>
    public void Start()
    {
        _reader.Start();
        _writer.Start();
    }

    /// <summary>Sends in order; never blocks. A link that is over releases the message.</summary>
    public void Send(Message message)
    {
        if (!_queue.TryAdd(message))
        {
            message.Release();
            if (Volatile.Read(ref _isOver) == 0) // pairs with the exchange in End
            {
                End(LinkLoss.Broken, $"more than {QueuedMax} messages wait for the peer");
            }
        }
    }

    /// <summary>The session has handled one received message.</summary>
    public void Handled()
    {
        Check.That(_taken.TryDequeue(out int units));
        _ = _credit.Release(units);
    }

    /// <summary>Sends what is queued, then closes. Nothing is reported any more.</summary>
    public void Close()
    {
        if (Interlocked.Exchange(ref _isOver, 1) == 0)
        {
            _queue.Close(); // the writer sends the rest and shuts the socket
        }
    }

    /// <summary>Breaks the connection at once, from any thread; reports it as lost.</summary>
    public void Break(string reason) => End(LinkLoss.Broken, reason);

    /// <summary>Breaks without a report, and waits for both threads.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
        {
            return;
        }

        _ = Interlocked.Exchange(ref _isOver, 1);
        _queue.Discard();
        _socket.Dispose();
        _ = _credit.Release(CreditMax);
        Join(_reader);
        Join(_writer);
        if (Thread.CurrentThread != _writer)
        {
            _queue.Dispose();
            _credit.Dispose();
        }
    }

    private static void Join(Thread thread)
    {
        if (thread.IsAlive && thread != Thread.CurrentThread)
        {
            thread.Join();
        }
    }

    private void End(LinkLoss loss, string reason)
    {
        if (Interlocked.Exchange(ref _isOver, 1) == 0)
        {
            _queue.Discard();
            _socket.Dispose();
            _events.OnLost(this, loss, reason);
        }
    }

    private void Read()
    {
        try
        {
            var decoder = new FrameDecoder();
            byte[] head = new byte[FrameHeader.Bytes];
            while (true)
            {
                long startNanos = Receive(head, 0);
                FrameHeader header = decoder.DecodeHeader(head);
                ReceiveBuffer buffer = _pool.Rent(header.PayloadBytes);
                Message message;
                try
                {
                    _ = Receive(buffer.Memory.Span, startNanos);
                    message = FrameDecoder.DecodePayload(header, buffer.Memory, buffer);
                }
                catch
                {
                    buffer.Dispose();
                    throw;
                }

                TakeCredit(header.PayloadBytes);
                _events.OnReceived(this, message);
            }
        }
        catch (WireFormatException e)
        {
            End(LinkLoss.Broken, $"{e.Message}");
        }
        catch (LinkEndException e)
        {
            End(e.Loss, e.Message);
        }
        catch (SocketException e)
        {
            LinkLoss loss = e.SocketErrorCode == SocketError.ConnectionReset ? LinkLoss.ClosedByPeer : LinkLoss.Broken;
            End(loss, e.Message);
        }
        catch (ObjectDisposedException)
        {
            End(LinkLoss.Broken, "link was closed");
        }
    }

    /// <summary>A session that cannot follow slows the peer, by TCP.</summary>
    private void TakeCredit(int payloadBytes)
    {
        int units = Math.Min(CreditMax, 1 + (payloadBytes / ReceivePool.PooledBytes));
        for (int i = 0; i < units; i++)
        {
            _credit.Wait();
        }

        _taken.Enqueue(units);
    }

    /// <summary>
    /// Fills <paramref name="target"/>. <paramref name="startNanos"/>: when the frame began, 0 before its first
    /// byte.
    /// </summary>
    /// <returns>When the frame began.</returns>
    private long Receive(Span<byte> target, long startNanos)
    {
        long limitNanos = _progressNanos + (target.Length * NanosPerSecond / SlowestBytesPerSecond);
        int done = 0;
        while (done < target.Length)
        {
            int count;
            try
            {
                count = _socket.Receive(target[done..]);
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.TimedOut or SocketError.WouldBlock)
            {
                count = -1;
            }

            if (count == 0)
            {
                string where = startNanos == 0 ? "between two frames" : "in the middle of a frame";
                throw new LinkEndException(LinkLoss.ClosedByPeer, $"peer closed the link {where}");
            }

            long now = _clock.NowNanos;
            startNanos = startNanos == 0 && count > 0 ? now : startNanos;
            if (startNanos != 0 && now - startNanos > limitNanos)
            {
                throw new LinkEndException(LinkLoss.Broken, $"half a frame for {limitNanos / 1_000_000} ms");
            }

            done += Math.Max(0, count);
        }

        return startNanos;
    }

    private void Write()
    {
        byte[] buffer = new byte[SendBufferBytes];
        var encoder = new FrameEncoder();
        int used = 0;
        try
        {
            while (true)
            {
                Message? message = _queue.TryTake();
                if (message is null)
                {
                    // Nothing more at the moment: what is gathered must not wait.
                    SendAll(buffer.AsSpan(0, used));
                    used = 0;
                    message = _queue.Take();
                }

                if (message is null)
                {
                    break;
                }

                ulong? ended = message.Kind == MessageKind.EpochEnd ? message.Epoch : null;
                try
                {
                    used = Put(encoder, message, buffer, used);
                }
                finally
                {
                    message.Release();
                }

                if (ended is { } epoch)
                {
                    // Somebody waits for the answer: it is not gathered with what comes next.
                    SendAll(buffer.AsSpan(0, used));
                    used = 0;
                    OnEndTaken?.Invoke(epoch, _clock.NowNanos);
                }
            }

            SendAll(buffer.AsSpan(0, used));
            _socket.Shutdown(SocketShutdown.Send);
            _socket.Dispose();
        }
        catch (SocketException e)
        {
            LinkLoss loss = e.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown
                ? LinkLoss.ClosedByPeer : LinkLoss.Broken;
            _queue.Discard();
            End(loss, e.SocketErrorCode is SocketError.TimedOut or SocketError.WouldBlock
                ? $"peer took nothing for {_progressNanos / 1_000_000} ms" : e.Message);
        }
        catch (ObjectDisposedException)
        {
            _queue.Discard();
            End(LinkLoss.Broken, "link was closed");
        }
    }

    /// <summary>
    /// Gathers a frame in the buffer; sends the buffer when it is full, and a large bulk from where it lies.
    /// </summary>
    private int Put(FrameEncoder encoder, Message message, byte[] buffer, int used)
    {
        int head = FrameEncoder.HeadBytes(message);
        Check.That(head <= buffer.Length);
        if (head + message.Bulk.Length > buffer.Length - used)
        {
            SendAll(buffer.AsSpan(0, used));
            used = 0;
        }

        used += encoder.EncodeHead(message, buffer.AsSpan(used));
        if (message.Bulk.Length <= buffer.Length - used)
        {
            message.Bulk.Span.CopyTo(buffer.AsSpan(used));
            return used + message.Bulk.Length;
        }

        SendAll(buffer.AsSpan(0, used));
        SendAll(message.Bulk.Span);
        return 0;
    }

    private void SendAll(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[_socket.Send(bytes)..];
        }
    }

    private sealed class LinkEndException(LinkLoss loss, string message) : Exception(message)
    {
        public LinkLoss Loss => loss;
    }
}
