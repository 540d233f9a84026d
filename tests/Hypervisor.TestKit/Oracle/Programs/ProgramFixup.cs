namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>Which part of an instruction holds the address of a label.</summary>
internal enum ProgramFixup
{
    /// <summary>None does.</summary>
    None,

    /// <summary>The target of a near branch.</summary>
    Branch,

    /// <summary>An immediate: the absolute address.</summary>
    Immediate,

    /// <summary>The displacement, relative to RIP: the label's address.</summary>
    Memory,

    /// <summary>The displacement, relative to RIP: the immediate of the label's instruction.</summary>
    MemoryOfImmediate,
}
