using System;

namespace Hypervisor.Replication.Disk;

/// <summary>
/// An append-only file of the standby. Owned by one thread; blocking; every failure is an IOException.
/// </summary>
internal interface IJournalStore
{
    /// <summary>Bytes in it.</summary>
    long LengthBytes { get; }

    /// <summary>Adds bytes at the end; durable only after <see cref="Barrier"/>.</summary>
    void Append(ReadOnlySpan<byte> bytes);

    /// <summary>Returns once everything appended is durable.</summary>
    void Barrier();

    /// <summary>Fills <paramref name="target"/> from <paramref name="offsetBytes"/>.</summary>
    void Read(long offsetBytes, Span<byte> target);

    /// <summary>
    /// Cuts off everything from <paramref name="lengthBytes"/> on, durably; 0 empties it. All or nothing after a
    /// power loss.
    /// </summary>
    void Truncate(long lengthBytes);
}
