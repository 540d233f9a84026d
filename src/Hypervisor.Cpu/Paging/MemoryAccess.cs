namespace Hypervisor.Cpu.Paging;

/// <summary>What an access does, for permission checks.</summary>
internal enum MemoryAccess
{
    /// <summary>Load.</summary>
    Read,

    /// <summary>Store, or a read that will be followed by one.</summary>
    Write,

    /// <summary>Instruction fetch.</summary>
    Execute,
}
