using System.Collections;
using System.Collections.Generic;
using Hypervisor.Backends.Block;
using Hypervisor.Machine;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Sessions;

/// <summary>Names and sizes of a machine's disks, in the guest's order; the sizes are those of the moment.</summary>
internal sealed class DiskSizes(MachineConfig config, IReadOnlyList<IBlockDevice> drives) : IReadOnlyList<DiskIdentity>
{
    /// <inheritdoc/>
    public int Count => config.Drives.Count;

    /// <inheritdoc/>
    public DiskIdentity this[int index] => new(
        config.Drives[index].Id, drives[index].LengthBytes, config.Drives[index].IsShared);

    /// <inheritdoc/>
    public IEnumerator<DiskIdentity> GetEnumerator()
    {
        for (int i = 0; i < Count; i++)
        {
            yield return this[i];
        }
    }

    /// <inheritdoc/>
    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
