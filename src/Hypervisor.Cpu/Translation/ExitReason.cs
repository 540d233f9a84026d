namespace Hypervisor.Cpu.Translation;

/// <summary>Why generated code returned to the engine; generated code holds the numbers.</summary>
internal enum ExitReason
{
    /// <summary>RIP is the next instruction and no code is known for it here.</summary>
    Lookup = 0,

    /// <summary>As <see cref="Lookup"/>, through a direct jump: the argument is the number of its link.</summary>
    Unlinked = 1,

    /// <summary>Somebody wants the vCPU to look up.</summary>
    Events = 2,

    /// <summary>The argument is an <see cref="InterpretedOperation"/> to run.</summary>
    Interpret = 3,

    /// <summary>The instruction at RIP has not begun and must be interpreted.</summary>
    InterpretOne = 4,

    /// <summary>
    /// The target in the argument of the jump at RIP is not known; when it is, the jump goes on at SavedCode.
    /// </summary>
    UnknownTarget = 6,

    /// <summary>Accesses from RIP on must be checked alone, see <see cref="Variant.IsCareful"/>.</summary>
    Careful = 7,

    /// <summary>The instruction at RIP raised the recorded exception.</summary>
    Fault = 5,
}
