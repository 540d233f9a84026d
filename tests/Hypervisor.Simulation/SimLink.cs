using System;
using System.Collections.Generic;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;


/// <summary>A TCP connection: two streams in order, each of which may stall, tear, or carry a flipped bit.</summary>
internal sealed class SimLink
{
    private readonly World _world;
    private readonly Stream _toStandby;
    private readonly Stream _toPrimary;

    public SimLink(World world, int id, SimNode primary, SimNode standby)
    {
        _world = world;
        Id = id;
        _toStandby = new Stream(this, standby);
        _toPrimary = new Stream(this, primary);
    }

    public int Id { get; }

    public void Send(SimNode from, Message message) => From(from).Send(message);

    /// <summary>A node closes its end, or its process dies: the peer learns it behind what was sent.</summary>
    public void Close(SimNode from)
    {
        From(from).Send(null);
        To(from).IsClosed = true;
    }

    /// <summary>The host of a node loses power: nothing more comes from it, and nobody says so.</summary>
    public void Vanish(SimNode from)
    {
        From(from).StallUntil(long.MaxValue);
        To(from).IsClosed = true;
    }

    /// <summary>Something between the two resets the connection.</summary>
    public void Break()
    {
        foreach (Stream stream in (ReadOnlySpan<Stream>)[_toStandby, _toPrimary])
        {
            stream.Break();
        }
    }

    /// <summary>The connection is reset once <paramref name="to"/> was sent so many bytes more.</summary>
    public void CutAfter(SimNode to, int bytes) => To(to).CutAfter(bytes);

    /// <summary>What <paramref name="to"/> is sent stays on the way until then.</summary>
    public void Stall(SimNode to, long untilNanos) => To(to).StallUntil(untilNanos);

    public void FlipBit(SimNode to) => To(to).FlipsNext = true;

    private Stream From(SimNode node) => _toStandby.Receiver == node ? _toPrimary : _toStandby;

    private Stream To(SimNode node) => _toStandby.Receiver == node ? _toStandby : _toPrimary;

    private sealed class Stream(SimLink link, SimNode receiver)
    {
        private static readonly byte[] s_torn = new byte[1]; // shorter than any frame

        private readonly Queue<byte[]?> _frames = new();
        private readonly FrameEncoder _encoder = new();
        private readonly FrameDecoder _decoder = new();
        private long _lastArrival;
        private long _stalledUntil;
        private long _bytesUntilCut = long.MaxValue;
        private bool _isBroken;

        public SimNode Receiver => receiver;

        /// <summary>The receiver reads no more.</summary>
        public bool IsClosed { get; set; }

        public bool FlipsNext { get; set; }

        public void StallUntil(long nanos) => _stalledUntil = Math.Max(_stalledUntil, nanos);

        public void CutAfter(int bytes) => _bytesUntilCut = bytes;

        public void Send(Message? message)
        {
            if (_isBroken || _bytesUntilCut < 0)
            {
                message?.Release();
                return;
            }

            byte[]? frame = message is null ? null : Encode(message);
            if (_bytesUntilCut < long.MaxValue && (_bytesUntilCut -= frame?.Length ?? 0) < 0)
            {
                frame = s_torn; // the receiver gets a part of it
                link.From(receiver).Break();
            }

            _frames.Enqueue(frame);
            long now = link._world.Now;
            bool isSlow = now < link._world.SlowUntil;
            _lastArrival = Math.Max(_lastArrival, now + link._world.Prng.Micros(20, isSlow ? 40_000 : 400));
            link._world.At(_lastArrival - now, Arrive);
        }

        public void Break()
        {
            if (!_isBroken)
            {
                _isBroken = true;
                receiver.Post(link._world.Prng.Micros(10, 300), () => Lose(LinkLoss.Broken, "connection reset"));
            }
        }

        private byte[] Encode(Message message)
        {
            byte[] frame = new byte[FrameHeader.Bytes + message.PayloadBytes];
            int head = _encoder.EncodeHead(message, frame);
            message.Bulk.Span.CopyTo(frame.AsSpan(head));
            message.Release();
            if (FlipsNext)
            {
                FlipsNext = false;
                int bit = link._world.Prng.Next(0, frame.Length * 8);
                frame[bit / 8] ^= (byte)(1 << (bit % 8));
            }

            return frame;
        }

        private void Arrive()
        {
            if (_stalledUntil == long.MaxValue)
            {
                return;
            }

            if (link._world.Now < _stalledUntil)
            {
                link._world.At(_stalledUntil - link._world.Now, Arrive);
                return;
            }

            receiver.Post(0, Deliver);
        }

        private void Deliver()
        {
            if (IsClosed || _isBroken || !_frames.TryDequeue(out byte[]? frame))
            {
                return;
            }

            if (frame is null)
            {
                Lose(LinkLoss.ClosedByPeer, "end of stream");
                return;
            }

            if (frame == s_torn)
            {
                Lose(LinkLoss.Broken, "connection reset");
                return;
            }

            Message message;
            try
            {
                FrameHeader header = _decoder.DecodeHeader(frame.AsSpan(0, FrameHeader.Bytes));
                message = FrameDecoder.DecodePayload(header, frame.AsMemory(FrameHeader.Bytes), null);
            }
            catch (WireFormatException e)
            {
                Lose(LinkLoss.Broken, e.Message);
                link.From(receiver).Send(null);
                return;
            }

            ((ILinkEnd)receiver).OnFrame(link, message);
        }

        private void Lose(LinkLoss loss, string reason)
        {
            if (!IsClosed)
            {
                IsClosed = true;
                ((ILinkEnd)receiver).OnLost(link, loss, reason);
            }
        }
    }
}
