using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <summary>What a comparison of a range of a disk found.</summary>
/// <param name="Range">Which.</param>
/// <param name="IsSame">Whether the standby has the same.</param>
internal readonly record struct Comparison(DiskRange Range, bool IsSame);
