using System;

namespace Hypervisor.Replication.Disk;

/// <summary>
/// A disk of the standby as the journal applies to it. Owned by one thread; blocking; every failure is an
/// IOException.
/// </summary>
internal interface IStandbyDisk
{
    /// <summary>Size; a record beyond it is refused.</summary>
    long LengthBytes { get; }

    /// <summary>Changes the size, durably: zeroes are added, or what is behind is lost.</summary>
    void Resize(long lengthBytes);

    /// <summary>Stores bytes; durable only after <see cref="Flush"/>.</summary>
    void Write(long offsetBytes, ReadOnlySpan<byte> data);

    /// <summary>Makes a range read as zeroes.</summary>
    void WriteZeroes(long offsetBytes, long lengthBytes);

    /// <summary>Gives up a range; it reads as anything afterwards.</summary>
    void Discard(long offsetBytes, long lengthBytes);

    /// <summary>Returns once everything written is durable.</summary>
    void Flush();
}
