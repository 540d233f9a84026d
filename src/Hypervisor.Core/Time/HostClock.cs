using System.Diagnostics;

namespace Hypervisor.Core.Time;

/// <summary>The host's CLOCK_MONOTONIC.</summary>
public sealed class HostClock : IHostClock
{
    /// <inheritdoc/>
#pragma warning disable RS0030 // The one implementation that the ban points to.
    public long NowNanos => Stopwatch.GetTimestamp(); // .NET on Linux counts in nanoseconds
#pragma warning restore RS0030
}
