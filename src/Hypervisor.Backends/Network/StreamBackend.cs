using System;
using System.Buffers.Binary;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;

namespace Hypervisor.Backends.Network;

/// <summary>
/// Frames over a stream socket, one peer at a time; when it leaves, the next one (or the same again) takes over.
/// </summary>
/// <remarks>
/// QEMU's framing, of its `-netdev stream` and `-netdev socket` and of passt: length u32 big-endian, then the frame,
/// without a virtio header. Frames without a peer are lost, as on a cable that is not plugged in.
/// </remarks>
public sealed class StreamBackend : INetworkBackend
{
    private const int LengthBytes = sizeof(uint);
    private const int OutgoingBytes = 256 << 10;

    private readonly INetworkPeers _peers;
    private readonly byte[] _incoming = new byte[LengthBytes + NetworkPort.FrameBytesMax];
    private readonly byte[] _outgoing = new byte[OutgoingBytes];
    private readonly byte[] _frame = new byte[NetworkPort.FrameBytesMax];
    private readonly byte[] _segment = new byte[NetworkPort.FrameBytesMax];
    private readonly SoftwareOffload.FrameSink _sink;
    private readonly TaskCompletionSource _ending = new();
    private int _incomingStart; // bytes of _incoming that hold something: receiver's thread only
    private int _incomingEnd;
    private int _outgoingEnd;   // sender's thread only

    // Written by the receiver's thread, read by the sender's and by who stops it; Volatile both ways.
    private Socket? _peer;

    /// <summary>Makes a backend that owns its source of peers.</summary>
    public StreamBackend(INetworkPeers peers)
    {
        _peers = peers;
        _sink = Gather;
    }

    /// <inheritdoc/>
    public bool HasOffloads => false;

    /// <inheritdoc/>
    public int QueueCount => 1;

    /// <inheritdoc/>
    public void Start()
    {
        // Peers are looked for by the thread that receives.
    }

    /// <inheritdoc/>
    public void Configure(NetworkOffloads offloads, int queueCount)
    {
        // Frames come as on the wire, whatever the guest could take.
    }

    /// <inheritdoc/>
    public int Receive(int queue, Span<byte> target)
    {
        Socket? peer = Volatile.Read(ref _peer);
        if (peer is null)
        {
            return TryConnect() ? 0 : -1;
        }

        int length = TakeFrame(target);
        if (length > 0)
        {
            return length;
        }

        if (length < 0 || !TryFill(peer))
        {
            Volatile.Write(ref _peer, null); // pairs with Send and Stop
            peer.Dispose();
        }

        return 0;
    }

    /// <inheritdoc/>
    public void Send(int queue, ReadOnlySpan<byte> frame)
    {
        Socket? peer = Volatile.Read(ref _peer);
        if (peer is null)
        {
            return;
        }

        Span<byte> bytes = _frame.AsSpan(0, frame.Length - VnetHeader.Bytes);
        frame[VnetHeader.Bytes..].CopyTo(bytes);
        SoftwareOffload.Finish(VnetHeader.Read(frame), bytes, _segment, _sink);
        Flush();
    }

    /// <inheritdoc/>
    public void Stop()
    {
        _ending.TrySetResult();
        _peers.Dispose();
        Volatile.Read(ref _peer)?.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose() => Stop();

    private bool TryConnect()
    {
        Socket? peer = _peers.Wait(_ending.Task);
        if (peer is null)
        {
            return false;
        }

        _incomingStart = _incomingEnd = 0;
        // A full fence. Pairs with Stop, which ends first and then looks for the peer; here it is the other way round,
        // so one of the two sees the other.
        Interlocked.Exchange(ref _peer, peer);
        if (_ending.Task.IsCompleted)
        {
            peer.Dispose(); // stopped meanwhile, before it was to be seen
        }

        return true;
    }

    // The next whole frame, behind an empty header; 0 when there is none yet, -1 when the peer does not speak so.
    private int TakeFrame(Span<byte> target)
    {
        int count = _incomingEnd - _incomingStart;
        if (count < LengthBytes)
        {
            return 0;
        }

        ReadOnlySpan<byte> bytes = _incoming.AsSpan(_incomingStart, count);
        uint length = BinaryPrimitives.ReadUInt32BigEndian(bytes);
        if (length is 0 or > NetworkPort.FrameBytesMax - VnetHeader.Bytes)
        {
            return -1;
        }

        if (count - LengthBytes < (int)length)
        {
            return 0;
        }

        target[..VnetHeader.Bytes].Clear();
        bytes.Slice(LengthBytes, (int)length).CopyTo(target[VnetHeader.Bytes..]);
        _incomingStart += LengthBytes + (int)length;
        return VnetHeader.Bytes + (int)length;
    }

    private bool TryFill(Socket peer)
    {
        _incoming.AsSpan(_incomingStart, _incomingEnd - _incomingStart).CopyTo(_incoming);
        _incomingEnd -= _incomingStart;
        _incomingStart = 0;
        try
        {
            int count = peer.Receive(_incoming.AsSpan(_incomingEnd));
            _incomingEnd += count;
            return count > 0;
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }

    private void Gather(ReadOnlySpan<byte> frame)
    {
        if (OutgoingBytes - _outgoingEnd < LengthBytes + frame.Length)
        {
            Flush();
        }

        BinaryPrimitives.WriteInt32BigEndian(_outgoing.AsSpan(_outgoingEnd), frame.Length);
        frame.CopyTo(_outgoing.AsSpan(_outgoingEnd + LengthBytes));
        _outgoingEnd += LengthBytes + frame.Length;
    }

    private void Flush()
    {
        Socket? peer = Volatile.Read(ref _peer);
        ReadOnlySpan<byte> bytes = _outgoing.AsSpan(0, _outgoingEnd);
        _outgoingEnd = 0;
        try
        {
            while (peer is not null && !bytes.IsEmpty)
            {
                bytes = bytes[peer.Send(bytes)..];
            }
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // This peer is gone; the receiver's thread waits for the next one.
        }
    }
}
