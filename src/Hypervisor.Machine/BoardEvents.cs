using System;

namespace Hypervisor.Machine;

/// <summary>What the board tells the machine.</summary>
/// <param name="OnReset">The guest asked for a reset.</param>
/// <param name="OnEnd">The guest ended itself.</param>
/// <param name="OnWake">A halted vCPU, by number, has something to look at.</param>
internal sealed record BoardEvents(Action OnReset, Action<MachineEnd> OnEnd, Action<int> OnWake);
