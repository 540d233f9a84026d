using System;
using System.Collections.Generic;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using Hypervisor.Core.Time;

namespace Hypervisor.Replication.Link;

/// <summary>Where callers prove who they are before the session hears of them: each on a thread of its own.</summary>
/// <remarks>
/// So a caller that says nothing keeps nobody else out, and costs a thread and a socket for no longer than the
/// handshake's time. Both numbers are bounded; one address gets a part of the places only.
/// </remarks>
internal sealed class HandshakeGate : IDisposable
{
    /// <summary>Callers that may be in their handshake at a time.</summary>
    public const int PendingMax = 16;

    /// <summary>Those of one address.</summary>
    public const int PendingPerAddressMax = 4;

    private const int StackBytes = 512 << 10; // a handshake with a chain of certificates needs some tens of KiB

    private readonly LinkSecurity _security;
    private readonly TimeSpan _timeMax;
    private readonly IHostClock _clock;
    private readonly Action<PeerStream> _onPeer;
    private readonly Action<string> _onRefused;
    private readonly Lock _lock = new(); // protects _pending and _isDisposed
    private readonly Dictionary<Socket, (IPAddress Address, Thread Thread)> _pending = []; // its order reaches nothing
    private int _refused;
    private int _refusalWaits; // 0 or 1, by exchange
    private bool _isDisposed;

    /// <summary>Nothing happens before <see cref="Enter"/>.</summary>
    /// <param name="security">What callers have to prove.</param>
    /// <param name="timeMax">How long they may take.</param>
    /// <param name="clock">Host time.</param>
    /// <param name="onPeer">Owns the stream of one that proved it. Called on any thread.</param>
    /// <param name="onRefused">
    /// Gets a line about one that did not, and no other until <see cref="RefusalHandled"/>. Called on any thread.
    /// </param>
    public HandshakeGate(
        LinkSecurity security,
        TimeSpan timeMax,
        IHostClock clock,
        Action<PeerStream> onPeer,
        Action<string> onRefused)
    {
        _security = security;
        _timeMax = timeMax;
        _clock = clock;
        _onPeer = onPeer;
        _onRefused = onRefused;
    }

    /// <summary>Callers that were refused so far.</summary>
    public int Refused => Volatile.Read(ref _refused); // pairs with the increment in Refuse

    /// <summary>Takes a caller over; never waits for it.</summary>
    public void Enter(Socket caller)
    {
        IPAddress address = AddressOf(caller);
        if (!_security.IsEncrypted)
        {
            Run(caller, address); // a plain link has no handshake to wait for
            return;
        }

        string? refusal;
        lock (_lock)
        {
            refusal = FindRefusal(address);
            if (refusal is null)
            {
                var thread = new Thread(() => Run(caller, address), StackBytes)
                {
                    Name = "handshake",
                    IsBackground = true,
                };
                _pending.Add(caller, (address, thread));
                thread.Start();
                return;
            }
        }

        caller.Dispose();
        Refuse($"{address} refused: {refusal}");
    }

    /// <summary>The line that <c>onRefused</c> got is dealt with; the next one may come.</summary>
    public void RefusalHandled() => Volatile.Write(ref _refusalWaits, 0); // pairs with the exchange in Refuse

    /// <summary>Breaks the handshakes, and waits for their threads; nobody is let in any more.</summary>
    public void Dispose()
    {
        List<Thread> threads = [];
        lock (_lock)
        {
            _isDisposed = true;
            foreach ((Socket socket, (_, Thread thread)) in _pending)
            {
                socket.Dispose();
                threads.Add(thread);
            }
        }

        threads.ForEach(thread => thread.Join());
    }

    private static IPAddress AddressOf(Socket caller)
    {
        try
        {
            return ((IPEndPoint)caller.RemoteEndPoint!).Address;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return IPAddress.None; // gone already
        }
    }

    private string? FindRefusal(IPAddress address)
    {
        int same = 0;
        foreach ((IPAddress other, _) in _pending.Values)
        {
            same += other.Equals(address) ? 1 : 0;
        }

        return _isDisposed ? "this side ends"
            : _pending.Count >= PendingMax ? $"{PendingMax} handshakes are pending already"
            : same >= PendingPerAddressMax ? $"{PendingPerAddressMax} handshakes of this address are pending already"
            : null;
    }

    private void Run(Socket caller, IPAddress address)
    {
        PeerStream? peer = null;
        string? refusal = null;
        try
        {
            peer = _security.Secure(caller, LinkRole.Called, _clock, _timeMax);
        }
        catch (LinkEndException e)
        {
            refusal = $"{address} refused: {e.Message}";
        }

        lock (_lock)
        {
            _ = _pending.Remove(caller);
            if (_isDisposed)
            {
                peer?.Dispose();
                return;
            }
        }

        if (peer is not null)
        {
            _onPeer(peer);
        }
        else
        {
            Refuse(refusal!);
        }
    }

    /// <summary>One line at a time: callers that come faster than lines are said fill no queue.</summary>
    private void Refuse(string line)
    {
        _ = Interlocked.Increment(ref _refused);
        if (Interlocked.Exchange(ref _refusalWaits, 1) == 0)
        {
            _onRefused(line);
        }
    }
}
