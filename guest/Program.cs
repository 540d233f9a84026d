using System;
using System.Globalization;
using System.IO;
using Hypervisor.Guest.Initramfs;

namespace Hypervisor.Guest;

/// <summary>Writes guests to files, for other machines than ours and for scripts.</summary>
internal static class Program
{
    private static int Main(string[] arguments)
    {
        switch (arguments)
        {
            case ["counting", string path]:
                File.WriteAllBytes(path, CountingGuest.Build());
                return 0;
            case ["compute", string path]:
                File.WriteAllBytes(path, ComputeGuest.Build());
                return 0;
            case ["boot-sector", string path]:
                File.WriteAllBytes(path, BootSectorGuest.BuildDisk());
                return 0;
            case ["check", string path, string disk]:
                RecordCheck check = RecordCheck.OfFile(path, uint.Parse(disk, CultureInfo.InvariantCulture));
                Console.WriteLine($"highest step {check.HighestStep}, records {check.RecordCount}, {check.Fault ?? "sound"}");
                return check.Fault is null ? 0 : 1;
            case ["initramfs", string packages, string path]:
                using (FileStream target = File.Create(path))
                {
                    LinuxInitramfs.Write(packages, target);
                }

                return 0;
            default:
                Console.Error.WriteLine("usage: counting | compute | boot-sector FILE | check IMAGE DISK | initramfs PACKAGES FILE");
                return 2;
        }
    }
}
