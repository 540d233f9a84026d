using System;
using System.Collections.Generic;
using Hypervisor.Core.Memory;

namespace Hypervisor.Core.State;

/// <summary>A machine as fault tolerance sees it: something to stop, copy, load, and let go on.</summary>
public interface IProtectedMachine
{
    /// <summary>Guest RAM, with the state byte of each page.</summary>
    GuestRam Ram { get; }

    /// <summary>Everything else that makes up the guest's state, in checkpoint order.</summary>
    IReadOnlyList<ICheckpointed> Components { get; }

    /// <summary>
    /// Returns once every vCPU is between two instructions, guest time stands still, and no device touches guest
    /// memory or completes a request. Disk requests may stay in flight. Takes microseconds.
    /// </summary>
    void Pause();

    /// <summary>Lets vCPUs, devices and guest time run on.</summary>
    void Resume();

    /// <summary>
    /// Calls back once, when no vCPU has anything to do: now, or as soon as that is so. A newer request replaces an
    /// older one. Any thread; the callback may come on any, and must not block.
    /// </summary>
    void WhenIdle(Action onIdle);

    /// <summary>
    /// Called paused, after RAM was stored to by page: vCPUs check their cached translations again (TLB write tags
    /// follow the page states). At a cut, after the pages became copy-pending.
    /// </summary>
    void RearmWrites();

    /// <summary>
    /// Called paused, after RAM and every component were loaded: drops derived state (TLB, decoded code), drives
    /// interrupt lines again, and issues the disk requests that the checkpoint holds as in flight.
    /// </summary>
    void AfterLoad();
}
