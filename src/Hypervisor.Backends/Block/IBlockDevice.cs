using System;

namespace Hypervisor.Backends.Block;

/// <summary>A random-access store of bytes: an image file, a remote export, or a filter around another one.</summary>
/// <remarks>
/// Offsets and lengths come from the guest. An implementation answers a range outside <see cref="LengthBytes"/> with
/// <see cref="BlockStatus.OutOfRange"/>; it never throws for it. Requests run concurrently and complete in any order,
/// except that requests that overlap keep the order of their submission. No <c>async</c>: the simulator drives the same
/// interface with completions that it delays and loses from a seed.
/// </remarks>
public interface IBlockDevice : IDisposable
{
    /// <summary>Size in bytes, a multiple of 512. Any thread.</summary>
    long LengthBytes { get; }

    /// <summary>Whether writes, discards and write-zeroes are refused.</summary>
    bool IsReadOnly { get; }

    /// <summary>Whether <see cref="BlockOperation.Resize"/> is understood.</summary>
    bool CanResize => false;

    /// <summary>Starts <paramref name="request"/>; never blocks on the medium.</summary>
    void Submit(BlockRequest request);
}
