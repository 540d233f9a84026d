namespace Hypervisor.Machine.Boot;

/// <summary>What a range of guest physical memory is. Values are E820's. Spec: ACPI 6.4, table 15.13.</summary>
public enum MemoryKind : uint
{
    /// <summary>RAM for the guest.</summary>
    Usable = 1,

    /// <summary>Not for the guest.</summary>
    Reserved = 2,
}
