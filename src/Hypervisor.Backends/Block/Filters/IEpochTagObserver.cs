using System;

namespace Hypervisor.Backends.Block.Filters;

/// <summary>
/// Takes what <see cref="EpochTagFilter"/> sees, in the order in which it reaches the disk. May wait: that slows
/// the guest.
/// </summary>
public interface IEpochTagObserver
{
    /// <summary>
    /// A write, write-zeroes, discard or flush is about to start. Its buffer may be read until this returns.
    /// Called on the submitting thread.
    /// </summary>
    void OnTagged(int disk, ulong epoch, BlockRequest request);

    /// <summary>
    /// A range as it is on the disk at this place in the order, read for the full copy. The bytes may be read until
    /// this returns. Called on the copying thread.
    /// </summary>
    void OnCopied(int disk, long offsetBytes, ReadOnlyMemory<byte> bytes);

    /// <summary>
    /// A tagged request failed here, so the other side may differ: protection must end (rule 22). Any thread.
    /// </summary>
    void OnTaggedFailed(int disk, BlockOperation operation, BlockStatus status);
}
