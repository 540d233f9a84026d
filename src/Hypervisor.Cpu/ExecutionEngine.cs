namespace Hypervisor.Cpu;

/// <summary>What runs the guest's code. The result is the same; the speed is not.</summary>
public enum ExecutionEngine
{
    /// <summary>Decodes once and calls a function per instruction: the reference.</summary>
    Interpreter,

    /// <summary>Turns code that repeats into host code, interprets the rest.</summary>
    Translator,
}
