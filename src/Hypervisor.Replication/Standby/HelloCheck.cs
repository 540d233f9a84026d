using System;
using System.Collections.Generic;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Standby;

/// <summary>
/// Compares a Hello with what this standby has (rules 33, 43). The first difference is named with both values.
/// </summary>
internal static class HelloCheck
{
    /// <summary>Finds the first field that does not fit.</summary>
    /// <returns>Null when all fit.</returns>
    public static RefusalMessage? FindMismatch(HelloMessage hello, StandbyOptions options, ulong generation)
    {
        MachineIdentity theirs = hello.Machine;
        MachineIdentity ours = options.Machine;
        // A folder that was copied with the disks makes two halves one at the witness: both would be the runner.
        return (hello.Node != options.Node ? null : Refuse("node", hello.Node, $"{options.Node}, must be another one"))
            ?? Compare("VM UUID", theirs.VmId, ours.VmId, isAny: ours.VmId == Guid.Empty)
            ?? Compare("pair UUID", theirs.PairId, ours.PairId, isAny: ours.PairId == Guid.Empty)
            ?? Compare("machine model", theirs.MachineModel, ours.MachineModel, isAny: ours.MachineModel.Length == 0)
            ?? Compare("CPU model", theirs.CpuModel, ours.CpuModel, isAny: ours.CpuModel.Length == 0)
            ?? Compare("RAM bytes", theirs.RamBytes, ours.RamBytes, isAny: ours.RamBytes == 0)
            ?? CompareDisks(theirs.Disks, ours.Disks)
            ?? CompareSections(theirs.Sections, ours.Sections)
            ?? CompareBounds(hello, options, generation);
    }

    /// <summary>A refusal with values of any type.</summary>
    public static RefusalMessage Refuse(string field, object primaryValue, object standbyValue) => new()
    {
        Field = WireWriter.Fit(field),
        PrimaryValue = WireWriter.Fit($"{primaryValue}"),
        StandbyValue = WireWriter.Fit($"{standbyValue}"),
    };

    private static RefusalMessage? Compare<T>(string field, T theirs, T ours, bool isAny = false)
        where T : IEquatable<T>
        => isAny || theirs.Equals(ours) ? null : Refuse(field, theirs, ours);

    private static RefusalMessage? CompareDisks(IReadOnlyList<DiskIdentity> theirs, IReadOnlyList<DiskIdentity> ours)
    {
        RefusalMessage? mismatch = Compare("disk count", theirs.Count, ours.Count);
        for (int i = 0; i < theirs.Count && mismatch is null; i++)
        {
            mismatch = Compare($"disk {i} id", theirs[i].Id, ours[i].Id)
                ?? Compare($"disk {i} ({ours[i].Id}) bytes", theirs[i].LengthBytes, ours[i].LengthBytes)
                ?? Compare($"disk {i} ({ours[i].Id}) shared", theirs[i].IsShared, ours[i].IsShared);
        }

        return mismatch;
    }

    private static RefusalMessage? CompareSections(
        IReadOnlyList<SectionFormat> theirs, IReadOnlyList<SectionFormat> ours)
    {
        RefusalMessage? mismatch = ours.Count == 0 ? null : Compare("section count", theirs.Count, ours.Count);
        for (int i = 0; i < theirs.Count && i < ours.Count && mismatch is null; i++)
        {
            mismatch = Compare($"section {i} tag", Tag(theirs[i]), Tag(ours[i]));
            if (mismatch is null && theirs[i].Version > ours[i].Version)
            {
                mismatch = Refuse(
                    $"section {Tag(ours[i])} version", theirs[i].Version, $"{ours[i].Version} at most");
            }
        }

        return mismatch;
    }

    private static RefusalMessage? CompareBounds(HelloMessage hello, StandbyOptions options, ulong generation)
    {
        if (hello.LeaseNanos > Lease.LongestNanos(options.TakeoverNanos))
        {
            return Refuse("lease in ns", hello.LeaseNanos, $"{Lease.LongestNanos(options.TakeoverNanos)} at most");
        }

        if (hello.EpochsInFlightMax is < 1 or > EpochPipeline.EpochsInFlightMax)
        {
            return Refuse("epochs in flight", hello.EpochsInFlightMax, $"1 to {EpochPipeline.EpochsInFlightMax}");
        }

        if (hello.Machine.RamBytes > options.StagedBytesMax / 2)
        {
            // An epoch may touch all of RAM; a standby that cannot hold that would give up at the worst moment.
            return Refuse("RAM bytes", hello.Machine.RamBytes, $"room to stage {options.StagedBytesMax / 2}");
        }

        if ((hello.Compressions & options.Compressions).Best() == Compressions.Nothing)
        {
            return Refuse("compression", hello.Compressions.Describe(), options.Compressions.Describe());
        }

        return hello.Generation < generation ? Refuse("generation", hello.Generation, $"seen {generation}") : null;
    }

    private static string Tag(SectionFormat section) => $"{section.Tag:X8}.{section.Instance}";
}
