using Hypervisor.Backends.Block;
using Hypervisor.Machine;

namespace Hypervisor.CommandLine;

/// <summary>Refuses what cannot be protected (fault-tolerance rules 24, 41 and 42).</summary>
internal static class Protectable
{
    /// <summary>Returns <paramref name="machine"/> when it can be one half of a pair.</summary>
    /// <exception cref="UsageException">A drive or an option that protection cannot carry.</exception>
    public static MachineConfig Check(MachineConfig machine)
    {
        foreach (DriveOptions drive in machine.Drives)
        {
            if (drive.Cache == CacheMode.Unsafe)
            {
                throw new UsageException(
                    $"--drive {drive.Id}: cache=unsafe ignores flushes, which protection relies on; "
                    + "allowed: none, directsync, writethrough, writeback");
            }

            if (drive.IsSnapshot)
            {
                throw new UsageException(
                    "--snapshot: the writes of a protected guest must last; allowed: without it");
            }
        }

        return machine;
    }
}
