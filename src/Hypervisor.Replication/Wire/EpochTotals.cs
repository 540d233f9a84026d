namespace Hypervisor.Replication.Wire;

/// <summary>What an epoch consists of: messages per kind, their payload bytes, and a digest over all of them.</summary>
internal readonly record struct EpochTotals(
    uint RamBlocks,
    uint Sections,
    uint DiskWrites,
    uint Outputs,
    uint Scrubs,
    long PayloadBytes,
    uint Digest);
