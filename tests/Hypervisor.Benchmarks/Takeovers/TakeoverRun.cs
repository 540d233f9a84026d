namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>How a primary is lost.</summary>
internal enum TakeoverFault
{
    /// <summary>SIGKILL.</summary>
    Kill,

    /// <summary>SIGSTOP, and SIGCONT when the guest runs elsewhere.</summary>
    Hang,

    /// <summary>Its host's cable is pulled, and plugged in again when the guest runs elsewhere.</summary>
    Cut,
}

/// <summary>One lost primary.</summary>
/// <param name="Fault">How.</param>
/// <param name="TakeoverMillis">From the fault to the guest's first instruction on the other host.</param>
/// <param name="SilenceMillis">Longest that the client waited for an answer.</param>
/// <param name="ProtectionMillis">From the start of the new standby until the guest was protected again.</param>
/// <param name="ResidentMebibytes">Memory of the new primary then.</param>
internal sealed record TakeoverRun(
    TakeoverFault Fault,
    double TakeoverMillis,
    double SilenceMillis,
    double ProtectionMillis,
    double ResidentMebibytes);
