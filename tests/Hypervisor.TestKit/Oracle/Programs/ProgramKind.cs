namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>What mode a random program is for.</summary>
public enum ProgramKind
{
    /// <summary>64-bit user mode.</summary>
    Long,

    /// <summary>32-bit user mode, all segments flat but FS and GS.</summary>
    Flat32,

    /// <summary>32-bit user mode, each segment with a base and a limit of its own.</summary>
    Based32,

    /// <summary>16-bit user mode of protected mode.</summary>
    Protected16,

    /// <summary>Real mode.</summary>
    Real16,
}
