namespace Hypervisor.Cpu;

/// <summary>Why <see cref="Vcpu.Run"/> returned.</summary>
public enum VcpuExit
{
    /// <summary>Somebody called <see cref="Vcpu.RequestExit"/>.</summary>
    Requested,

    /// <summary>HLT (or MWAIT): wait for <see cref="Vcpu.SignalInterrupt"/>, then run again.</summary>
    Halted,

    /// <summary>Triple fault: the board resets the machine.</summary>
    Shutdown,
}
