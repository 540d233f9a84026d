using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <summary>What the write-intent logs of all disks of a machine say together.</summary>
internal static class WriteIntents
{
    /// <summary>
    /// The guest goes on from these disks: names each life that all of the logs know, with the latest of their epochs.
    /// </summary>
    /// <exception cref="IOException">A log cannot be written.</exception>
    public static void Continue(IReadOnlyList<WriteIntentLog> logs, Action<ReplicaPoint> restore)
    {
        foreach (WriteIntentLog log in logs)
        {
            log.Continue();
        }

        foreach (ReplicaPoint point in Common([.. logs.Select(log => log.Points)]))
        {
            restore(point);
        }
    }

    /// <summary>
    /// Where disks stand that a primary wrote to until its process ended, and what it may have changed since; null when
    /// the logs do not say.
    /// </summary>
    public static (ReplicaPoint Point, IReadOnlyList<DiskRange> Doubtful)? Find(IReadOnlyList<WriteIntentLog> logs)
    {
        ReplicaPoint point = Common([.. logs.Select(log => log.Points)]).LastOrDefault();
        if (!point.IsKnown)
        {
            return null;
        }

        int each = WelcomeMessage.DoubtfulMax / logs.Count;
        return (point, [.. logs.SelectMany((log, i) => log.Ranges((ushort)i, each))]);
    }

    /// <summary>The lives that the points of all logs name, each with the latest of their epochs.</summary>
    /// <remarks>
    /// The changes since any of its points are in a log: so also those since a later one of the same life.
    /// </remarks>
    public static IEnumerable<ReplicaPoint> Common(IReadOnlyList<IReadOnlyList<ReplicaPoint>> logs)
        => logs.Count == 0 ? [] : logs[0]
            .Select(point => new ReplicaPoint(point.Incarnation, logs.Max(log => EpochOf(log, point.Incarnation))))
            .Where(point => point.Epoch != ulong.MaxValue);

    private static ulong EpochOf(IReadOnlyList<ReplicaPoint> log, ulong incarnation)
        => log.LastOrDefault(point => point.Incarnation == incarnation) is { IsKnown: true } point
            ? point.Epoch : ulong.MaxValue;
}
