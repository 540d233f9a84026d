using System.Collections.Generic;

namespace Hypervisor.Sessions;

/// <summary>What came of a drill.</summary>
/// <param name="Epoch">The committed epoch that the copy began with.</param>
/// <param name="HasPassed">Whether it ran as it should: to its time, or until the pattern came.</param>
/// <param name="Reason">How it ended.</param>
/// <param name="Instructions">Guest instructions that it ran.</param>
/// <param name="CopyMicros">How long it took to copy the guest.</param>
/// <param name="RunMicros">How long it ran.</param>
/// <param name="Console">Last lines of its console.</param>
internal sealed record DrillOutcome(
    ulong Epoch,
    bool HasPassed,
    string Reason,
    ulong Instructions,
    long CopyMicros,
    long RunMicros,
    IReadOnlyList<string> Console);
