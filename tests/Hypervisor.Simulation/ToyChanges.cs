using System.Collections.Generic;
using Hypervisor.Backends.Block;
using Hypervisor.Replication.Epochs;

namespace Hypervisor.Simulation;

/// <summary>Stamps of the last change of each sector and each page, as the product's primary keeps them.</summary>
internal sealed class ToyChanges
{
    private readonly ulong[] _sectors = new ulong[ToyMachine.Disks * ToyMachine.SectorsPerDisk];
    private readonly ulong[] _pages = new ulong[ToyMachine.Pages];

    /// <summary>Stamp of what changes now.</summary>
    public ulong Stamp { get; set; } = ResyncHistory.FirstStamp;

    public void Mark(ToyRequest request)
    {
        for (int i = 0; i < request.Count && request.Operation != BlockOperation.Flush; i++)
        {
            _sectors[(request.Disk * ToyMachine.SectorsPerDisk) + request.Sector + i] = Stamp;
        }
    }

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

    /// <summary>Whether anything of these sectors, counted over all disks, changed after a stamp.</summary>
    public bool AreSectorsChanged(int first, int count, ulong? after)
    {
        for (int i = first; i < first + count; i++)
        {
            if (after is null || _sectors[i] > after)
            {
                return true;
            }
        }

        return false;
    }

    public bool IsPageChanged(int page, ulong? after) => after is null || _pages[page] > after;
}
