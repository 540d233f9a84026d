namespace Hypervisor.Cpu.Paging;

/// <summary>The result of a page walk.</summary>
internal struct PageTranslation
{
    /// <summary>Guest physical address of the byte asked for.</summary>
    internal ulong Gpa;

    /// <summary>Size of the page that maps it, as a shift: 12, 21, 22 or 30.</summary>
    internal int PageShift;

    /// <summary>Every level allows writes.</summary>
    internal bool IsWritable;

    /// <summary>Every level allows user access.</summary>
    internal bool IsUser;

    /// <summary>Some level forbids execution.</summary>
    internal bool IsNoExecute;

    /// <summary>The leaf's G bit, with CR4.PGE.</summary>
    internal bool IsGlobal;

    /// <summary>The leaf's D bit is set, so stores need not come back here.</summary>
    internal bool IsDirty;
}
