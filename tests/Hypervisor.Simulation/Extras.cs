using System;

namespace Hypervisor.Simulation;

/// <summary>
/// What a schedule has beyond the first kinds of faults. Without any, the schedules of all seeds are those of before
/// there were extras, so that a seed that found something once still runs into the same thing.
/// </summary>
[Flags]
internal enum Extras
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Somebody asks for a planned switch-over.</summary>
    SwitchOver = 1,

    /// <summary>The kinds of faults after <see cref="Fault.TakeoverAskedFor"/> as well.</summary>
    More = 2,

    /// <summary>
    /// One half's disks say that they flushed, and lose some of it when that half loses power. Up to there every rule
    /// holds; from there on that half's copy is in doubt until a scrub has found it the same.
    /// </summary>
    LyingDisks = 4,

    /// <summary>
    /// A half's clock may jump ahead. Leases need clocks that run alike, so one promise cannot be held: the primary may
    /// let out once more what the standby let out already when it took over. Nothing else, and nothing that differs.
    /// </summary>
    ClockJumps = 8,

    /// <summary>
    /// After a takeover the former primary comes back as the standby of the other half, with its disks as they are and
    /// what its write-intent logs say; and so on. A power loss takes from a primary's disks what was not flushed.
    /// </summary>
    Returns = 16,

    /// <summary>
    /// Disks of the guest get another size, at any time. When the halves differ in it and have no pair, somebody gives
    /// the standby disks of the primary's sizes.
    /// </summary>
    Resizes = 32,
}
