using System;
using System.Buffers.Binary;

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

    private readonly PeerSocket _peer;
    private readonly byte[] _incoming = new byte[LengthBytes + NetworkPort.FrameBytesMax];
    private readonly byte[] _outgoing = new byte[OutgoingBytes];
    private readonly byte[] _frame = new byte[NetworkPort.FrameBytesMax];
    private readonly byte[] _segment = new byte[NetworkPort.FrameBytesMax];
    private readonly SoftwareOffload.FrameSink _sink;
    private int _incomingStart; // bytes of _incoming that hold something: receiver's thread only
    private int _incomingEnd;
    private int _outgoingEnd;   // sender's thread only

    /// <summary>Makes a backend that owns its source of peers.</summary>
    public StreamBackend(INetworkPeers peers)
    {
        _peer = new PeerSocket(peers);
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
        if (!_peer.IsConnected)
        {
            _incomingStart = _incomingEnd = 0;
            return _peer.TryConnect() ? 0 : -1;
        }

        int length = TakeFrame(target);
        if (length > 0)
        {
            return length;
        }

        if (length < 0 || !TryFill())
        {
            _peer.Disconnect();
        }

        return 0;
    }

    /// <inheritdoc/>
    public void Send(int queue, ReadOnlySpan<byte> frame)
    {
        if (!_peer.IsConnected)
        {
            return;
        }

        Span<byte> bytes = _frame.AsSpan(0, frame.Length - VnetHeader.Bytes);
        frame[VnetHeader.Bytes..].CopyTo(bytes);
        SoftwareOffload.Finish(VnetHeader.Read(frame), bytes, _segment, _sink);
        Flush();
    }

    /// <inheritdoc/>
    public void Stop() => _peer.Dispose();

    /// <inheritdoc/>
    public void Dispose() => Stop();

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

    private bool TryFill()
    {
        _incoming.AsSpan(_incomingStart, _incomingEnd - _incomingStart).CopyTo(_incoming);
        _incomingEnd -= _incomingStart;
        _incomingStart = 0;
        int count = _peer.Receive(_incoming.AsSpan(_incomingEnd));
        _incomingEnd += count;
        return count > 0;
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
        _peer.Send(_outgoing.AsSpan(0, _outgoingEnd));
        _outgoingEnd = 0;
    }
}
