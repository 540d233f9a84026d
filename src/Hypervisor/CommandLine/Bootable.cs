using Hypervisor.Machine;

namespace Hypervisor.CommandLine;

/// <summary>A machine that is started here needs something to start from.</summary>
internal static class Bootable
{
    /// <summary>Returns <paramref name="machine"/> when it has something to boot.</summary>
    /// <exception cref="UsageException">Neither kernel, firmware, guest nor drive.</exception>
    public static MachineConfig Check(MachineConfig machine)
        => machine.Kernel is not null || machine.Firmware is not null || machine.Drives.Count > 0
            ? machine
            : throw new UsageException("nothing to boot; allowed: --kernel PATH, --guest NAME or --drive file=PATH");
}
