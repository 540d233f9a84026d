using System.Threading;

namespace Hypervisor.Replication.Link;

/// <summary>Counts what a primary's links send. Written by one link's writer at a time, read by anybody.</summary>
internal sealed class LinkTally
{
    private long _sentBytes, _epochPlainBytes, _epochSentBytes;

    /// <summary>Bytes on the wire since <see cref="Restart"/>, frames' headers included.</summary>
    public long SentBytes => Interlocked.Read(ref _sentBytes);

    /// <summary>Payload bytes of all epochs but the full copy, before compression; they are never reset.</summary>
    public long EpochPlainBytes => Interlocked.Read(ref _epochPlainBytes);

    /// <summary>The same on the wire: compressed, with the frames' headers.</summary>
    public long EpochSentBytes => Interlocked.Read(ref _epochSentBytes);

    /// <summary>A new life of the pair.</summary>
    public void Restart() => _ = Interlocked.Exchange(ref _sentBytes, 0);

    /// <summary>A frame was encoded.</summary>
    public void Add(ulong epoch, int plainBytes, int sentBytes)
    {
        _ = Interlocked.Add(ref _sentBytes, sentBytes);
        if (epoch > 0)
        {
            _ = Interlocked.Add(ref _epochPlainBytes, plainBytes);
            _ = Interlocked.Add(ref _epochSentBytes, sentBytes);
        }
    }
}
