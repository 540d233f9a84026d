namespace Hypervisor.Machine;

/// <summary>What executes guest instructions.</summary>
public enum ExecutionEngine
{
    /// <summary>Decoded blocks, one function call per instruction.</summary>
    Interpreter,
}
