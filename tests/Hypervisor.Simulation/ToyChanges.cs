using System.Collections.Generic;
using Hypervisor.Backends.Block;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <summary>Stamps of the last change of each sector, by the product's map, and each page.</summary>
internal sealed class ToyChanges(ChangeMap[] disks)
{
    private readonly ulong[] _pages = new ulong[ToyMachine.Pages];

    /// <summary>Stamp of what changes now.</summary>
    public ulong Stamp { get; set; } = ResyncHistory.FirstStamp;

    public void Mark(ToyRequest request)
    {
        if (request.Operation == BlockOperation.Resize)
        {
            disks[request.Disk].Resize(request.Count * SimDisk.SectorBytes, Stamp);
        }
        else if (request.Operation != BlockOperation.Flush)
        {
            disks[request.Disk].Mark(
                request.Sector * SimDisk.SectorBytes, request.Count * SimDisk.SectorBytes, Stamp);
        }
    }

    /// <summary>The disks got other sizes past this.</summary>
    public void LookAtSizes(SimDisk[] now)
    {
        for (int i = 0; i < disks.Length; i++)
        {
            disks[i].Resize(now[i].LengthBytes, Stamp);
        }
    }

    /// <summary>A range counts as changed, for who has it otherwise.</summary>
    public void MarkDoubtful(DiskRange range, ulong stamp)
        => disks[range.Disk].Mark(range.OffsetBytes, range.LengthBytes, stamp);

    /// <summary>The dirty pages, which are clean and stamped afterwards.</summary>
    public List<int> TakeDirtyPages(ToyMachine machine)
    {
        List<int> pages = [];
        for (int page = 0; page < ToyMachine.Pages; page++)
        {
            if (machine.Dirty[page])
            {
                Take(machine, page);
                pages.Add(page);
            }
        }

        return pages;
    }

    /// <summary>A page is copied as it is.</summary>
    public void Take(ToyMachine machine, int page)
    {
        if (machine.Dirty[page])
        {
            machine.Dirty[page] = false;
            _pages[page] = Stamp;
        }
    }

    /// <summary>Whether anything of these sectors changed after a stamp.</summary>
    public bool AreSectorsChanged(int disk, int sector, int count, ulong? after)
    {
        return after is null || disks[disk].IsChanged(
            sector * SimDisk.SectorBytes, count * SimDisk.SectorBytes, after.Value);
    }

    public bool IsPageChanged(int page, ulong? after) => after is null || _pages[page] > after;
}
