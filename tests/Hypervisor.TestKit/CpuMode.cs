namespace Hypervisor.TestKit;

/// <summary>The mode in which an <see cref="AsmProgram"/> starts.</summary>
public enum CpuMode
{
    /// <summary>Real mode, all segments 0.</summary>
    Real,

    /// <summary>32-bit protected mode, flat, no paging.</summary>
    Protected,

    /// <summary>64-bit mode on 4 KiB pages, identity-mapped, all user and writable.</summary>
    Long,
}
