namespace Hypervisor.Replication.Disk;

/// <summary>What a journal record does; the numbers of disk operations are those of the wire.</summary>
internal enum JournalKind : byte
{
    /// <summary>Store the data.</summary>
    Write = 2,

    /// <summary>Give up the range.</summary>
    Discard = 4,

    /// <summary>Make the range read as zeroes.</summary>
    WriteZeroes = 5,

    /// <summary>The disk has another size.</summary>
    Resize = 6,

    /// <summary>Everything of the epoch stands before this record.</summary>
    Commit = 9,
}
