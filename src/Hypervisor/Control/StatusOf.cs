using System;
using System.Collections.Generic;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Control;

/// <summary>What the parts of a session say of themselves, as one status.</summary>
internal static class StatusOf
{
    private const long NanosPerMicro = 1000;

    /// <summary>A guest without a pair.</summary>
    public static GuestStatus Alone(IReadOnlyList<DiskIdentity> disks, ulong? instructions) => new()
    {
        Role = GuestRole.Alone,
        State = GuestStates.Running,
        Instructions = instructions,
        Disks = disks,
    };

    /// <summary>A guest that runs here, with a pair.</summary>
    /// <param name="numbers">The session's numbers.</param>
    /// <param name="recentPauseNanos">Longest pause of each of the last seconds.</param>
    /// <param name="pauseCounts">Pauses of each length.</param>
    /// <param name="copy">How far the last full copy is.</param>
    /// <param name="disks">The disks.</param>
    public static GuestStatus Primary(
        in PrimaryStatistics numbers,
        long[] recentPauseNanos,
        long[] pauseCounts,
        (long DoneBytes, long TotalBytes) copy,
        IReadOnlyList<DiskIdentity> disks) => new()
        {
            Role = GuestRole.Primary,
            State = GuestStates.NameOf(numbers.Status.State),
            Reason = numbers.Status.Reason ?? "",
            Generation = numbers.Status.Generation,
            Incarnation = numbers.Status.Incarnation,
            Epochs = numbers.Epochs,
            OpenEpoch = numbers.Status.OpenEpoch,
            AckedEpoch = numbers.Status.AckedEpoch,
            ReleasedEpoch = numbers.Status.ReleasedEpoch,
            Pauses = numbers.Pause,
            RecentPauseMicros = Array.ConvertAll(recentPauseNanos, nanos => nanos / NanosPerMicro),
            PauseCounts = pauseCounts.AsSpan().TrimEnd(0).ToArray(),
            Phases = numbers.Phases,
            CutReasons = numbers.CutReasons,
            LastCut = numbers.Epochs > 0 ? numbers.LastCut : null,
            SwitchOver = Of(numbers.Status.SwitchOver),
            LagMicros = numbers.Status.LagNanos / NanosPerMicro,
            HasLease = numbers.Status.HasLease,
            BytesSent = numbers.Status.BytesSent,
            DirtyPages = numbers.LastDirtyPages,
            Scrub = numbers.Status.Scrub with { Reason = numbers.Status.Scrub.Reason ?? "" },
            CopyDoneBytes = copy.DoneBytes,
            CopyTotalBytes = copy.TotalBytes,
            Disks = disks,
            Taints = numbers.Status.Taints,
        };

    /// <summary>A guest that runs elsewhere; or here, after a takeover.</summary>
    public static GuestStatus Standby(in StandbyStatistics numbers, IReadOnlyList<DiskIdentity> disks) => new()
    {
        Role = numbers.Status.State == StandbyState.Live ? GuestRole.Alone : GuestRole.Standby,
        State = GuestStates.NameOf(numbers.Status.State),
        Reason = numbers.Status.Reason ?? "",
        Generation = numbers.Status.Generation,
        Incarnation = numbers.Status.Incarnation,
        CommittedEpoch = numbers.Status.CommittedEpoch,
        AppliedEpoch = numbers.Status.AppliedEpoch,
        Phases = numbers.Phases,
        SwitchOver = Of(numbers.Status.SwitchOver),
        BytesReceived = numbers.Status.BytesReceived,
        Disks = disks,
        Taints = numbers.Status.Taints,
    };

    // Of a session that has not told anything yet, everything is default.
    private static SwitchOverStatus Of(in SwitchOverStatus status) => status with { Error = status.Error ?? "" };
}
