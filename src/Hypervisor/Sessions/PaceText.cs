using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Hypervisor.Replication.Epochs;

namespace Hypervisor.Sessions;

/// <summary>Why epochs were cut when they were, for people.</summary>
internal static class PaceText
{
    /// <summary>A reason in words.</summary>
    public static string Describe(CutReason reason) => reason switch
    {
        CutReason.Grid => "usual length",
        CutReason.OutputWaiting => "output waits",
        CutReason.StagingBudget => "staging budget",
        CutReason.CopyBudget => "slow copy",
        CutReason.PauseBudget => "pause budget",
        CutReason.Idle => "idle guest",
        CutReason.StandbyFull => "standby full",
        CutReason.LastEpoch => "last epoch",
    };

    /// <summary>One line with the reasons that led to a cut.</summary>
    public static string Describe(IReadOnlyList<CutReasonCount> counts) => $"cuts by reason: {Counts(counts)}";

    /// <summary>How many cuts the reasons led to that led to one.</summary>
    public static string Counts(IReadOnlyList<CutReasonCount> counts) => string.Join(
        " · ",
        counts.Where(entry => entry.Count > 0).Select(entry => string.Create(
            CultureInfo.InvariantCulture, $"{Describe(entry.Reason)} {entry.Count}")));
}
