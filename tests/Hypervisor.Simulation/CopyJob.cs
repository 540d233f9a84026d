using System;
using System.Collections.Generic;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <summary>
/// The full copy of a running toy machine: pages as long as many are dirty, and every range of every disk once.
/// </summary>
internal sealed class CopyJob(GuestHost guest, SimDisk[] disks, Prng prng)
{
    private const int ChunkSectors = 6;

    private int _chunk;
    private int _ramBlocks;

    public bool IsDone => _chunk == Chunks && _ramBlocks >= ToyMachine.Pages;

    private static int Chunks => ToyMachine.Disks * ToyMachine.SectorsPerDisk / ChunkSectors;

    /// <summary>The next piece; null when there is none at the moment.</summary>
    public Message? Next()
    {
        if (_ramBlocks < ToyMachine.Pages || prng.OneIn(3))
        {
            int page = _ramBlocks++ % ToyMachine.Pages;
            guest.Machine.Dirty[page] = false;
            return Block(guest.Machine, page);
        }

        if (_chunk == Chunks)
        {
            return null;
        }

        int disk = _chunk * ChunkSectors / ToyMachine.SectorsPerDisk;
        int sector = _chunk * ChunkSectors % ToyMachine.SectorsPerDisk;
        if (guest.IsBusy(disk, sector, ChunkSectors))
        {
            return null;
        }

        _chunk++;
        var message = new DiskBlockMessage
        {
            Disk = (ushort)disk,
            IsZero = false,
            OffsetBytes = sector * SimDisk.SectorBytes,
            LengthBytes = ChunkSectors * SimDisk.SectorBytes,
        };
        Span<byte> range = disks[disk].Bytes.AsSpan(sector * SimDisk.SectorBytes, ChunkSectors * SimDisk.SectorBytes);
        byte[] data = range.ToArray();
        message.Attach(data, null);
        return message;
    }

    /// <summary>Every dirty page, which is clean afterwards.</summary>
    public static IEnumerable<RamBlockMessage> TakeDirty(ToyMachine machine)
    {
        for (int page = 0; page < ToyMachine.Pages; page++)
        {
            if (machine.Dirty[page])
            {
                machine.Dirty[page] = false;
                yield return Block(machine, page);
            }
        }
    }

    private static RamBlockMessage Block(ToyMachine machine, int page)
    {
        byte[] bytes = new byte[ToyMachine.PageBytes + 1];
        bytes[0] = (byte)page;
        Array.Copy(machine.Ram, page * ToyMachine.PageBytes, bytes, 1, ToyMachine.PageBytes);
        var message = new RamBlockMessage { PageCount = 1 };
        message.Attach(bytes, null);
        return message;
    }
}
