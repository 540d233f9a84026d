namespace Hypervisor.Machine.Boot;

/// <summary>The mode in which vCPU 0 executes its first instruction.</summary>
public enum BootMode
{
    /// <summary>Real mode, at the reset vector of the firmware.</summary>
    Real,

    /// <summary>32-bit protected mode with flat segments, no paging.</summary>
    Protected,

    /// <summary>64-bit mode on identity-mapped page tables.</summary>
    Long,
}
