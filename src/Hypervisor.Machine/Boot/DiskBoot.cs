using Hypervisor.Firmware;

namespace Hypervisor.Machine.Boot;

/// <summary>Starts the machine as a PC starts: our firmware in RAM at F0000, vCPU 0 at the reset vector.</summary>
internal static class DiskBoot
{
    /// <summary>Writes the firmware.</summary>
    public static BootPlan Load(BootRam ram)
    {
        ram.Write(FirmwareLayout.ImageStart, FirmwareImage.Build());
        return BootPlan.Reset();
    }
}
