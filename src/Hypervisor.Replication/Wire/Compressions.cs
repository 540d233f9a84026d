using System;

namespace Hypervisor.Replication.Wire;

/// <summary>Ways in which the bulk of a frame may travel: bits of a set. The numbers are wire values.</summary>
[Flags]
public enum Compressions : byte
{
    /// <summary>No way at all; never on the wire.</summary>
    Nothing = 0,

    /// <summary>As it is.</summary>
    None = 1,

    /// <summary>LZ4 blocks.</summary>
    Lz4 = 2,

    /// <summary>Zstandard frames.</summary>
    Zstd = 4,

    /// <summary>All that this build knows.</summary>
    All = None | Lz4 | Zstd,
}
