namespace Hypervisor.Backends.Block;

/// <summary>How far a completed write or flush reaches on the host. Names and meanings are QEMU's.</summary>
public enum CacheMode
{
    /// <summary>Host page cache; a guest flush makes earlier writes durable. The default.</summary>
    Writeback,

    /// <summary>Past the host page cache (O_DIRECT); a guest flush makes earlier writes durable.</summary>
    None,

    /// <summary>Host page cache; every write is durable when it completes.</summary>
    Writethrough,

    /// <summary>Past the host page cache (O_DIRECT); every write is durable when it completes.</summary>
    Directsync,

    /// <summary>Host page cache; flushes are ignored. Refused under protection (fault-tolerance rule 41).</summary>
    Unsafe,
}
