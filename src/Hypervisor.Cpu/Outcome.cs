namespace Hypervisor.Cpu;

/// <summary>
/// What the run loop does after one operation. Guest faults travel here, never as .NET exceptions.
/// </summary>
public enum Outcome
{
    /// <summary>Done; go on with the next operation of the block (or with RIP when it was the last).</summary>
    Next = 0,

    /// <summary>Done, and RIP, the mode or the mapping changed: look the next block up.</summary>
    EndBlock = 1,

    /// <summary>
    /// Nothing changed: deliver the exception recorded by <see cref="Vcpu.Raise(byte)"/>, with RIP at this instruction.
    /// </summary>
    Fault = 2,

    /// <summary>
    /// The instruction is not finished (an interruptible string instruction) or its decoded form is stale: run it again
    /// from RIP = its start, after pending events were looked at.
    /// </summary>
    Restart = 3,
}
