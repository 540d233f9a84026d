using System;

namespace Hypervisor.Core.Memory;

/// <summary>The state byte that <see cref="GuestRam"/> keeps for each 4 KiB page.</summary>
/// <remarks>
/// A store may skip all bookkeeping when the byte is exactly <see cref="Dirty"/>; any other value sends it through
/// <see cref="GuestRam.PrepareWrite"/> first. Generated code compares the byte, so the values are fixed.
/// </remarks>
[Flags]
public enum PageState : byte
{
    /// <summary>Unchanged since the last cut, and nobody watches it.</summary>
    Clean = 0,

    /// <summary>Written since the last cut.</summary>
    Dirty = 1 << 0,

    /// <summary>Part of the last cut and not yet copied: must be copied before the next store.</summary>
    CopyPending = 1 << 1,

    /// <summary>Being copied this moment; a store waits until the flag goes.</summary>
    Copying = 1 << 2,

    /// <summary>Holds guest code that was decoded or translated.</summary>
    Code = 1 << 3,

    /// <summary>Shown on a display.</summary>
    Display = 1 << 4,

    /// <summary>A vCPU waits for a store to a line of it (MONITOR).</summary>
    Monitored = 1 << 5,

    /// <summary>
    /// The host may hold no memory for it: it was never stored to, or given back. Only a hint, because a store that was
    /// allowed before leaves it there; goes with the next <see cref="GuestRam.PrepareWrite"/>.
    /// </summary>
    Unbacked = 1 << 6,
}
