using Hypervisor.CommandLine;
using Hypervisor.Machine;

namespace Hypervisor.Sessions;

/// <summary>One guest that runs here and is protected by a standby elsewhere.</summary>
internal static class PrimarySession
{
    /// <summary>Runs the guest until it ends, or until this side lost it.</summary>
    public static int Run(MachineConfig config, ProtectionConfig protection, Endpoint standby, StatusReport report)
        => throw new FailureException(
            $"{config.Name}: no way yet to protect it at {standby} ({protection.WitnessPath}, {report.IsBroken})");
}
