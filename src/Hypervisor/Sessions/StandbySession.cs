using Hypervisor.CommandLine;
using Hypervisor.Machine;

namespace Hypervisor.Sessions;

/// <summary>Waits for a primary, holds its last committed epoch, and runs the guest once the primary is gone.</summary>
internal static class StandbySession
{
    /// <summary>Runs until the guest ended, here or there.</summary>
    public static int Run(MachineConfig config, ProtectionConfig protection, Endpoint listen, StatusReport report)
        => throw new FailureException(
            $"{config.Name}: this build cannot stand by at {listen} ({protection.WitnessPath}, {report.IsBroken})");
}
