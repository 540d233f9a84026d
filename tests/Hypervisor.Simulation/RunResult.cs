using System.Collections.Generic;

namespace Hypervisor.Simulation;

/// <summary>How one run ended.</summary>
/// <param name="Seed">Its seed.</param>
/// <param name="Violation">The rule that was broken, or null.</param>
/// <param name="Events">Events simulated.</param>
/// <param name="Epochs">Epochs that were acknowledged in the last incarnation.</param>
/// <param name="TookOver">Whether the standby went live.</param>
/// <param name="HandedOver">Whether the primary handed the guest over on purpose.</param>
/// <param name="Faults">What happened.</param>
/// <param name="SoundScrubs">Scrubs that found everything the same.</param>
/// <param name="DoubtsEnded">Scrubs that found a copy in doubt to be the same.</param>
/// <param name="DoubtsConfirmed">Scrubs that found that it is not.</param>
/// <param name="Returned">Former primaries whose copies were finished by what their logs say.</param>
internal sealed record RunResult(
    ulong Seed,
    RuleViolationException? Violation,
    long Events,
    ulong Epochs,
    bool TookOver,
    bool HandedOver,
    IReadOnlyList<Fault> Faults,
    int SoundScrubs,
    int DoubtsEnded,
    int DoubtsConfirmed,
    int Returned);
