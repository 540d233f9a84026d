namespace Hypervisor.Machine;

/// <summary>How a guest ended.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="DebugExitCode">What the guest wrote to `isa-debug-exit`, when that ended it.</param>
public readonly record struct MachineEnd(MachineEndKind Kind, int DebugExitCode = 0);

/// <summary>What ended a guest.</summary>
public enum MachineEndKind
{
    /// <summary>ACPI power-off.</summary>
    PowerOff,

    /// <summary>A reset, with <see cref="MachineConfig.StopsOnReset"/>.</summary>
    Reset,

    /// <summary>A write to `isa-debug-exit`.</summary>
    DebugExit,
}
