using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Epochs;

/// <summary>Count, bytes and digest over the messages of a full copy, in order of sending.</summary>
internal struct CopyDigest
{
    /// <summary>Messages so far.</summary>
    public ulong Messages { get; private set; }

    /// <summary>Payload bytes so far.</summary>
    public long Bytes { get; private set; }

    /// <summary>Chain over kinds and payload CRCs.</summary>
    public uint Digest { get; private set; }

    /// <summary>Takes in the next one; its payload CRC is known, or computed here.</summary>
    public void Add(Message message)
    {
        uint checksum = message.KnownChecksum ?? message.ComputeChecksum();
        message.KnownChecksum = checksum;
        Messages++;
        Bytes += message.PayloadBytes;
        Digest = EpochDigest.Chain(EpochDigest.Chain(Digest, (uint)message.Kind), checksum);
    }
}
