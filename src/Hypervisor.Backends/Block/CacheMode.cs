namespace Hypervisor.Backends.Block;

/// <summary>How writes reach the medium; QEMU's names and meanings.</summary>
public enum CacheMode
{
    /// <summary>Host page cache; durable at a guest flush.</summary>
    Writeback,

    /// <summary>No host page cache (O_DIRECT); durable at a guest flush.</summary>
    None,

    /// <summary>Host page cache for reads; every write is durable before it completes.</summary>
    Writethrough,

    /// <summary>No host page cache, and every write is durable before it completes.</summary>
    Directsync,

    /// <summary>Host page cache; flushes are ignored. A host crash may cost the whole disk.</summary>
    Unsafe,
}
