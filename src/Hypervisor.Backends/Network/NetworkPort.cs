using System;
using System.Threading;
using Hypervisor.Core;

namespace Hypervisor.Backends.Network;

/// <summary>Carries frames between a NIC and a backend, on threads of its own; output by way of the outbox.</summary>
/// <remarks>
/// Frames that came wait here, outside of the guest, until the event loop hands them over: so they belong to the epoch
/// of their effect (rule 6). When too many wait, the backend is not read, and drops or holds back itself.
/// </remarks>
public sealed class NetworkPort : INetworkPort
{
    /// <summary>Longest frame with its header: 64 KiB of IP, Ethernet with a VLAN tag.</summary>
    public const int FrameBytesMax = VnetHeader.Bytes + 18 + ushort.MaxValue;

    private const int OutboxBytes = 16 << 20; // 1 Gb/s for 128 ms
    private const int ReceivedBytesMax = 1 << 19;

    private readonly INetworkBackend _backend;
    private readonly string _name;
    private readonly Receiver[] _receivers;
    private readonly AutoResetEvent _hasWork = new(false);
    private readonly FrameOutbox _outbox = new(OutboxBytes);
    private Thread? _sender;
    private volatile bool _isEnding;

    /// <summary>Makes a port that owns its backend.</summary>
    /// <param name="name">For the names of threads.</param>
    /// <param name="backend">Where frames go and come from.</param>
    public NetworkPort(string name, INetworkBackend backend)
    {
        _name = name;
        _backend = backend;
        _outbox.OnReleased = () => _hasWork.Set();
        _outbox.OnRoom = () => OnRoom?.Invoke();
        _receivers = new Receiver[backend.QueueCount];
        for (int i = 0; i < _receivers.Length; i++)
        {
            _receivers[i] = new Receiver(this, i);
        }
    }

    /// <summary>Holds what the NIC sends, for a primary.</summary>
    public IEpochOutbox Outbox => _outbox;

    /// <inheritdoc/>
    public bool HasOffloads => _backend.HasOffloads;

    /// <inheritdoc/>
    public int QueueCount => _backend.QueueCount;

    /// <inheritdoc/>
    public Action<int>? OnReceived { get; set; }

    /// <inheritdoc/>
    public Action? OnRoom { get; set; }

    /// <inheritdoc/>
    public void Start()
    {
        Check.That(_sender is null);
        _backend.Start();
        _sender = NewThread("sender", SendAll);
        Array.ForEach(_receivers, receiver => receiver.Start());
    }

    /// <inheritdoc/>
    public void Configure(NetworkOffloads offloads, int queueCount) => _backend.Configure(offloads, queueCount);

    /// <inheritdoc/>
    public bool TrySend(int queue, ReadOnlySpan<byte> frame) => _outbox.TryAdd(queue, frame);

    /// <inheritdoc/>
    public bool TryPeek(int queue, out ReadOnlySpan<byte> frame) => _receivers[queue].TryPeek(out frame);

    /// <inheritdoc/>
    public void Remove(int queue) => _receivers[queue].Remove();

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_isEnding)
        {
            return;
        }

        _isEnding = true;
        _backend.Stop();
        _hasWork.Set();
        _sender?.Join();
        Array.ForEach(_receivers, receiver => receiver.Dispose());
        _backend.Dispose();
        _hasWork.Dispose();
    }

    private Thread NewThread(string role, ThreadStart work)
    {
        var thread = new Thread(work) { Name = $"{_name}: {role}", IsBackground = true };
        thread.Start();
        return thread;
    }

    private void SendAll()
    {
        byte[] frame = new byte[FrameBytesMax];
        while (!_isEnding)
        {
            if (_outbox.TryTake(frame, out int queue, out int lengthBytes))
            {
                _backend.Send(queue, frame.AsSpan(0, lengthBytes));
            }
            else
            {
                _hasWork.WaitOne();
            }
        }
    }

    /// <summary>The frames that came in one queue, and the thread that brings them.</summary>
    private sealed class Receiver(NetworkPort owner, int queue) : IDisposable
    {
        private const int LookAgainMillis = 100; // for the end only: room is told

        // Protects the ring and the flag.
        private readonly Lock _lock = new();
        private readonly FrameRing _frames = new(ReceivedBytesMax);
        private readonly ManualResetEventSlim _hasRoom = new(false);
        private bool _isFull;
        private Thread? _thread;

        public void Start() => _thread = owner.NewThread($"receiver {queue}", Run);

        public void Dispose()
        {
            _thread?.Join();
            _hasRoom.Dispose();
        }

        // The frame stays where it is until Remove: only the caller removes, and growing copies.
        public bool TryPeek(out ReadOnlySpan<byte> frame)
        {
            lock (_lock)
            {
                bool isThere = _frames.First != _frames.End;
                frame = isThere ? _frames.Peek(out _) : default;
                return isThere;
            }
        }

        public void Remove()
        {
            bool hasRoom;
            lock (_lock)
            {
                _frames.Remove();
                hasRoom = _isFull && _frames.UsedBytes <= ReceivedBytesMax / 2;
                _isFull &= !hasRoom;
            }

            if (hasRoom && !owner._isEnding)
            {
                _hasRoom.Set();
            }
        }

        private void Run()
        {
            byte[] frame = new byte[FrameBytesMax];
            int length;
            while ((length = owner._backend.Receive(queue, frame)) >= 0 && !owner._isEnding)
            {
                if (length <= VnetHeader.Bytes)
                {
                    continue;
                }

                while (!TryAdd(frame.AsSpan(0, length)) && !owner._isEnding)
                {
                    _ = _hasRoom.Wait(LookAgainMillis);
                }

                owner.OnReceived?.Invoke(queue);
            }
        }

        private bool TryAdd(ReadOnlySpan<byte> frame)
        {
            lock (_lock)
            {
                if (!_isFull && _frames.TryAdd(0, frame))
                {
                    return true;
                }

                _isFull = true;
                _hasRoom.Reset();
                return false;
            }
        }
    }
}
