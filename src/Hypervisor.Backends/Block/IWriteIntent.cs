using System;

namespace Hypervisor.Backends.Block;

/// <summary>Knows durably which regions of a disk are about to be written to.</summary>
public interface IWriteIntent
{
    /// <summary>Called on any thread, without a lock, when what was asked for may be ready; again and again.</summary>
    Action OnPrepared { set; }

    /// <summary>A range is about to be written to; <see cref="Leave"/> follows. Any thread.</summary>
    void Enter(long offsetBytes, long lengthBytes);

    /// <summary>
    /// Whether a range that was entered may be written to now; null: not yet, and <see cref="OnPrepared"/> follows.
    /// </summary>
    /// <returns>False when it can never be: the log failed.</returns>
    bool? IsPrepared(long offsetBytes, long lengthBytes);

    /// <summary>The write has reached the disk, failed, or will not be made. Any thread.</summary>
    void Leave(long offsetBytes, long lengthBytes);
}
