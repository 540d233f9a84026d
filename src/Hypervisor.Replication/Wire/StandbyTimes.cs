using System;

namespace Hypervisor.Replication.Wire;

/// <summary>How long the standby's part of an epoch took by its own clock; for people.</summary>
/// <remarks>
/// <code>stage u32 | journal u32 | apply u32</code>
/// Microseconds, each at most <see cref="MicrosMax"/>: what is longer is sent as that.
/// </remarks>
/// <param name="StageMicros">From the first message of the cut until the journal began with the epoch.</param>
/// <param name="JournalMicros">The journal, flush included when there was one.</param>
/// <param name="ApplyMicros">RAM and disks of the applied epoch that goes with it, 0 before the first.</param>
internal readonly record struct StandbyTimes(uint StageMicros, uint JournalMicros, uint ApplyMicros)
{
    /// <summary>Bytes on the wire.</summary>
    public const int Bytes = 3 * sizeof(uint);

    /// <summary>One hour.</summary>
    public const uint MicrosMax = 3_600_000_000;

    /// <summary>A duration as it is sent.</summary>
    public static uint Micros(long nanos) => (uint)Math.Clamp(nanos / 1000, 0, MicrosMax);

    /// <summary>Stores it.</summary>
    public void Write(ref WireWriter writer)
    {
        writer.U32(StageMicros);
        writer.U32(JournalMicros);
        writer.U32(ApplyMicros);
    }

    /// <summary>Reads and checks it.</summary>
    public static StandbyTimes Read(ref WireReader reader)
        => new(
            Bounded(ref reader, "stage time"),
            Bounded(ref reader, "journal time"),
            Bounded(ref reader, "apply time"));

    private static uint Bounded(ref WireReader reader, string field)
    {
        uint micros = reader.U32(field);
        return micros <= MicrosMax ? micros : throw reader.Bad(field, $"{micros} µs, at most {MicrosMax} is allowed");
    }
}
