using System;

namespace Hypervisor.Backends.Block;

/// <summary>Knows durably which regions of a disk are about to be written to.</summary>
public interface IWriteIntent
{
    /// <summary>Called on any thread, without a lock, when what was asked for may be ready; again and again.</summary>
    Action OnPrepared { set; }

    /// <summary>Whether a range may be written to now; null: not yet, and <see cref="OnPrepared"/> follows.</summary>
    /// <returns>False when it can never be: the log failed.</returns>
    bool? TryPrepare(long offsetBytes, long lengthBytes);
}
