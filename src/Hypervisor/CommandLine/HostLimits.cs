using System;

namespace Hypervisor.CommandLine;

/// <summary>What this host can give at most.</summary>
internal static class HostLimits
{
    /// <summary>Physical memory of the host, or of the container that this process lives in.</summary>
    public static long MemoryBytes() => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
}
