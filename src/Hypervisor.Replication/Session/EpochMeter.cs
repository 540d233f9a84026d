using System;
using System.Threading;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <summary>How long the phases of an epoch take after its pause. Any thread.</summary>
/// <remarks>
/// <code>
/// copy     resumed → the last RAM of the cut is encoded and handed to the session
/// send     END is handed to the link → the socket has taken its last byte, and so everything before it
/// stage    at the standby: first message of the cut → the journal begins; it overlaps copy and send
/// journal  at the standby: commit of the epoch
/// ack      END is handed to the link → its ACK is here; holds what of send, stage and journal is left by then
/// release  ACK is here → its output is out; an ended lease shows here
/// apply    at the standby: RAM and disks, after the ACK
/// </code>
/// The socket's word is no proof of arrival: the kernel may still hold the bytes. The way over the network is what of
/// <c>ack</c> the standby does not account for.
/// </remarks>
internal sealed class EpochMeter
{
    private const int Slots = 64; // above the most epochs in flight

    private readonly PauseTimes _copy = new(), _send = new(), _ack = new(), _release = new();
    private readonly StandbyMeter _standby = new();
    private readonly Lock _lock = new(); // protects the fields below
    private readonly (ulong Epoch, long EndNanos, long AckNanos)[] _marks = new (ulong, long, long)[Slots];

    /// <summary>A new life of the pair: epochs count from 0 again.</summary>
    public void Restart()
    {
        lock (_lock)
        {
            Array.Clear(_marks);
            _standby.Restart();
        }
    }

    /// <summary>RAM of a cut was copied.</summary>
    public void AddCopy(long nanos) => _copy.Add(nanos);

    /// <summary>END of an epoch is handed to the link.</summary>
    public void OnEnd(ulong epoch, long nowNanos)
    {
        lock (_lock)
        {
            _marks[epoch % Slots] = (epoch, nowNanos, 0);
        }
    }

    /// <summary>The socket has taken the END of an epoch.</summary>
    public void OnEndTaken(ulong epoch, long nowNanos)
    {
        lock (_lock)
        {
            if (_marks[epoch % Slots] is { EndNanos: > 0 } mark && mark.Epoch == epoch)
            {
                _send.Add(nowNanos - mark.EndNanos);
            }
        }
    }

    /// <summary>The standby acknowledged an epoch; the core has not checked it yet, so it is not trusted.</summary>
    public void OnAck(EpochAckMessage ack, long nowNanos)
    {
        lock (_lock)
        {
            ref (ulong Epoch, long EndNanos, long AckNanos) mark = ref _marks[ack.Epoch % Slots];
            if (mark.Epoch != ack.Epoch || mark.EndNanos == 0 || mark.AckNanos != 0)
            {
                return;
            }

            mark.AckNanos = nowNanos;
            _ack.Add(nowNanos - mark.EndNanos);
            _standby.Add(ack);
        }
    }

    /// <summary>The output of an epoch, and of those before it, is out.</summary>
    public void OnReleased(ulong epoch, long nowNanos)
    {
        lock (_lock)
        {
            if (_marks[epoch % Slots] is { AckNanos: > 0 } mark && mark.Epoch == epoch)
            {
                _release.Add(nowNanos - mark.AckNanos);
            }
        }
    }

    /// <summary>The phases after the pause, in their order.</summary>
    public PhaseSummary[] Summarize() =>
    [
        new("copy", _copy.Summarize()),
        new("send", _send.Summarize()),
        _standby.Stage,
        _standby.Journal,
        new("ack", _ack.Summarize()),
        new("release", _release.Summarize()),
        _standby.Apply,
    ];
}
