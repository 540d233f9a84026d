using System;
using System.IO;

namespace Hypervisor.Core.Host;

/// <summary>Which life of the host this is: what was only in its memory is gone after another one.</summary>
/// <remarks>Spec: Linux, random(4), "/proc interfaces": boot_id.</remarks>
public static class HostBoot
{
    private const string Source = "/proc/sys/kernel/random/boot_id";

    /// <summary>The same for all processes since the host started; a fresh one where it cannot be told.</summary>
    public static Guid Id
    {
        get
        {
            try
            {
                return Guid.TryParse(File.ReadAllText(Source), out Guid id) ? id : Guid.NewGuid();
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                return Guid.NewGuid();
            }
        }
    }
}
