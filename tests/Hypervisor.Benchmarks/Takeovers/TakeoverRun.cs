namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>One lost primary.</summary>
/// <param name="Fault">How.</param>
/// <param name="IsRough">Whether frames were lost and delayed all the time.</param>
/// <param name="TakeoverMillis">
/// From the fault to the guest's first instruction on the other host; NaN when the primary kept the guest.
/// </param>
/// <param name="SilenceMillis">Longest that the client waited for an answer.</param>
/// <param name="ProtectionMillis">From the start of the new standby until the guest was protected again.</param>
/// <param name="ResidentMebibytes">Memory of the new primary then.</param>
internal sealed record TakeoverRun(
    TakeoverFault Fault,
    bool IsRough,
    double TakeoverMillis,
    double SilenceMillis,
    double ProtectionMillis,
    double ResidentMebibytes)
{
    /// <summary>Whether the guest runs on the other host now.</summary>
    public bool IsTakeover => double.IsFinite(TakeoverMillis);
}
