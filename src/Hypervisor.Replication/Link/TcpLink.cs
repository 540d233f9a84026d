using System;
using System.Collections.Concurrent;
using System.Threading;
using Hypervisor.Core;
using Hypervisor.Core.Host;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Link;

/// <summary>One connection to the peer: a thread that reads frames, a thread that writes them.</summary>
/// <remarks>
/// Everything that arrives is checked before it costs anything: the header before a buffer for the payload is
/// taken, the
/// payload before it is handed on. Whatever is wrong ends this connection with one line, and harms nothing else. A
/// frame that was begun must be complete within a limit, a send must get on within one, so a stalled peer is noticed
/// (rule 31); silence between frames is the session's matter.
/// </remarks>
internal sealed partial class TcpLink : IDisposable
{
    private const int SendBufferBytes = 256 << 10;
    private const int QueuedMax = 65_536; // messages; bulk ones are bounded by their pools long before
    internal const int CreditMax = 512;      // 32 MiB received and not yet handled, in units of a pooled buffer
    private const long NanosPerSecond = 1_000_000_000;
    private const long SlowestBytesPerSecond = 1 << 20; // a frame may take longer the larger it is

    private const byte TlsAlertRecord = 21;     // TLS record types and version, RFC 8446, 5.1
    private const byte TlsHandshakeRecord = 22;
    private const byte TlsVersionMajor = 3;

    private readonly PeerStream _stream;
    private readonly ILinkEvents _events;
    private readonly IHostClock _clock;
    private readonly long _progressNanos;
    private readonly SendQueue _queue = new(QueuedMax);
    private readonly ReceivePool _pool = new();
    private readonly SemaphoreSlim _credit = new(CreditMax);
    private readonly ConcurrentQueue<int> _taken = new(); // credit of each message that is not handled, in order
    private readonly Lock _end = new(); // protects _threads, and Agree against the end
    private readonly Thread _reader;
    private readonly Thread _writer;
    private int _isDisposed; // 0 or 1, by exchange
    private int _threads = 2; // that use stream and compressor; who leaves last frees them, under _end
    private bool _hasHeard; // the reader's own: a whole frame came
    private int _isOver; // 0 or 1, by exchange: who ends the link reports it
    private volatile bool _hasPeerLeft; // the reader reports that, behind what the peer still said

    /// <summary>Takes a connected stream over. Nothing happens before <see cref="Start"/>.</summary>
    public TcpLink(int id, PeerStream stream, long progressNanos, IHostClock clock, ILinkEvents events)
    {
        Id = id;
        _stream = stream;
        _events = events;
        _clock = clock;
        _progressNanos = progressNanos;
        stream.SetTimeout((int)Math.Max(1, progressNanos / 1_000_000));
        _reader = new Thread(Read) { Name = $"link-{id}-reader", IsBackground = true };
        _writer = new Thread(Write) { Name = $"link-{id}-writer", IsBackground = true };
    }

    /// <summary>Number that the session knows it by.</summary>
    public int Id { get; }

    /// <summary>
    /// Called on the writer's thread with epoch and time when the socket has taken the whole END of an epoch.
    /// </summary>
    public Action<ulong, long>? OnEndTaken { get; init; }

    /// <summary>Counts what the socket takes; none for a link that sends no epochs.</summary>
    public LinkTally? Tally { get; init; }

    /// <summary>The peer's address, for people.</summary>
    public string Peer => _stream.Peer;

    /// <summary>Whether sending found that the peer has closed; what it said before may not be read yet.</summary>
    internal bool HasPeerLeft => _hasPeerLeft;

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
            if (Volatile.Read(ref _isOver) == 0 && !_hasPeerLeft) // pairs with the exchange in End
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
        _stream.Break();
        _ = _credit.Release(CreditMax);
        Join(_reader);
        Join(_writer);
        if (Thread.CurrentThread != _writer)
        {
            _stream.Dispose();
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
            _stream.Break();
            _events.OnLost(this, loss, reason);
        }
    }

    private void Read()
    {
        byte[] head = new byte[FrameHeader.Bytes];
        try
        {
            var decoder = new FrameDecoder();
            while (true)
            {
                long startNanos = Receive(head, 0);
                FrameHeader header = decoder.DecodeHeader(head);
                ReceiveBuffer buffer = header.IsPacked
                    ? ReceivePacked(ref header, startNanos) : _pool.Rent(header.PayloadBytes);
                Message message;
                try
                {
                    if (!header.IsPacked)
                    {
                        _ = Receive(buffer.Memory.Span, startNanos);
                    }

                    message = FrameDecoder.DecodePayload(header, buffer.Memory, buffer);
                }
                catch
                {
                    buffer.Dispose();
                    throw;
                }

                _hasHeard = true;
                TakeCredit(header.PayloadBytes);
                _events.OnReceived(this, message);
            }
        }
        catch (WireFormatException e)
        {
            End(LinkLoss.Broken, WithHint(e.Message, head));
        }
        catch (LinkEndException e)
        {
            End(e.Loss, WithHint(e.Message, head));
        }
        catch (ObjectDisposedException)
        {
            End(LinkLoss.Broken, "link was closed");
        }
        finally
        {
            Leave();
        }
    }

    /// <summary>A peer that has not sent one frame may speak another kind of link: says what this one is.</summary>
    private string WithHint(string reason, ReadOnlySpan<byte> head)
    {
        if (_hasHeard)
        {
            return reason;
        }

        bool isTls = head[0] is TlsAlertRecord or TlsHandshakeRecord && head[1] == TlsVersionMajor;
        return $"{(isTls ? "peer speaks TLS" : reason)}; this side expects {_stream.Expects}";
    }

    private void Leave()
    {
        lock (_end)
        {
            if (--_threads == 0)
            {
                _codec?.Dispose();
                _stream.Dispose(); // a link that ends by itself is not disposed by the session
            }
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
                count = _stream.Receive(target[done..], startNanos == 0 ? long.MaxValue : startNanos + limitNanos);
            }
            catch (LinkEndException) when (startNanos != 0 && _clock.NowNanos - startNanos > limitNanos)
            {
                throw new LinkEndException(LinkLoss.Broken, $"half a frame for {limitNanos / 1_000_000} ms");
            }

            if (count == 0)
            {
                string where = startNanos == 0 ? "between two frames" : "in the middle of a frame";
                throw new LinkEndException(LinkLoss.ClosedByPeer, $"peer closed the link {where}");
            }

            startNanos = startNanos == 0 ? _clock.NowNanos : startNanos;
            done += count;
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
                    _stream.Send(buffer.AsSpan(0, used));
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
                    _stream.Send(buffer.AsSpan(0, used));
                    used = 0;
                    OnEndTaken?.Invoke(epoch, _clock.NowNanos);
                }
            }

            _stream.Send(buffer.AsSpan(0, used));
            _stream.FinishSending();
            _stream.Break();
        }
        catch (LinkEndException e)
        {
            // What the peer said last may say why it closed, and waits to be read.
            _hasPeerLeft = e.Loss == LinkLoss.ClosedByPeer;
            _queue.Discard();
            if (!_hasPeerLeft)
            {
                End(e.Loss, e.Message);
            }
        }
        finally
        {
            Leave();
        }
    }

    /// <summary>
    /// Gathers a frame in the buffer; sends the buffer when it is full, and a large bulk from where it lies.
    /// </summary>
    private int Put(FrameEncoder encoder, Message message, byte[] buffer, int used)
    {
        BlockCodec? codec = Volatile.Read(ref _codec); // pairs with Agree
        int packed = codec is null ? 0 : PackedPayload.Pack(message, codec, _packed);
        ReadOnlySpan<byte> bulk = packed > 0 ? _packed.AsSpan(0, packed) : message.Bulk.Span;
        int head = FrameEncoder.HeadBytes(message) + PackedPayload.PrefixBytes;
        Check.That(head <= buffer.Length);
        if (head + bulk.Length > buffer.Length - used)
        {
            _stream.Send(buffer.AsSpan(0, used));
            used = 0;
        }

        head = encoder.EncodeHead(message, buffer.AsSpan(used), packed);
        Tally?.Add(message.Epoch, message.PayloadBytes, head + bulk.Length);
        used += head;
        if (bulk.Length <= buffer.Length - used)
        {
            bulk.CopyTo(buffer.AsSpan(used));
            return used + bulk.Length;
        }

        _stream.Send(buffer.AsSpan(0, used));
        _stream.Send(bulk);
        return 0;
    }
}
