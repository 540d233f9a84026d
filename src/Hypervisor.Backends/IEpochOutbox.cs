using System;

namespace Hypervisor.Backends;

/// <summary>Holds a guest's output back, by epoch, until the epoch may be seen outside (rules 1 to 4).</summary>
public interface IEpochOutbox
{
    /// <summary>
    /// Called with an epoch when the first output in it is held. On the guest's side, under the bus lock: must not
    /// block.
    /// </summary>
    Action<ulong> OnHeld { get; set; }

    /// <summary>At a cut, paused: output from now on belongs to <paramref name="epoch"/> and is held.</summary>
    void BeginEpoch(ulong epoch);

    /// <summary>Lets out what all epochs up to and including <paramref name="epoch"/> sent, in order.</summary>
    void Release(ulong epoch);

    /// <summary>Lets out everything and holds nothing from now on: the guest runs unprotected.</summary>
    void Pass();

    /// <summary>Throws away everything held and everything that still comes: it was never committed (rule 3).</summary>
    void Drop();
}
