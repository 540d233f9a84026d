using System;
using System.Collections.Generic;
using System.Security.Cryptography;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <summary>
/// The full copy of a running toy machine: pages as long as many are dirty, and every range of every disk once: as it
/// is, or, by chance, as a digest that the standby compares.
/// </summary>
internal sealed class CopyJob(GuestHost guest, SimDisk[] disks, Prng prng)
{
    private const int ChunkSectors = 6;

    private readonly Queue<int> _differing = new();
    private int _chunk;
    private int _unanswered;
    private int _ramBlocks;

    public bool IsDone
        => _chunk == Chunks && _unanswered == 0 && _differing.Count == 0 && _ramBlocks >= ToyMachine.Pages;

    private static int Chunks => ToyMachine.Disks * ToyMachine.SectorsPerDisk / ChunkSectors;

    /// <summary>The next piece; null when there is none at the moment.</summary>
    public Message? Next()
    {
        bool isAgain = _differing.TryPeek(out int chunk);
        if (!isAgain)
        {
            chunk = _chunk;
        }

        // Not while it only waits for answers: they would wait behind the pages.
        if (_ramBlocks < ToyMachine.Pages || (chunk < Chunks && prng.OneIn(3)))
        {
            int page = _ramBlocks++ % ToyMachine.Pages;
            guest.Machine.Dirty[page] = false;
            return Block(guest.Machine, page);
        }

        if (chunk == Chunks)
        {
            return null;
        }

        int disk = chunk * ChunkSectors / ToyMachine.SectorsPerDisk;
        int sector = chunk * ChunkSectors % ToyMachine.SectorsPerDisk;
        if (guest.IsBusy(disk, sector, ChunkSectors))
        {
            return null;
        }

        byte[] data = disks[disk].Bytes
            .AsSpan(sector * SimDisk.SectorBytes, ChunkSectors * SimDisk.SectorBytes).ToArray();
        if (isAgain)
        {
            _ = _differing.Dequeue();
        }
        else
        {
            _chunk++;
            if (prng.OneIn(2))
            {
                _unanswered++;
                return new DiskDigestMessage
                {
                    Range = new DiskRange((ushort)disk, sector * SimDisk.SectorBytes, data.Length),
                    Digest = SHA256.HashData(data),
                };
            }
        }

        var message = new DiskBlockMessage
        {
            Disk = (ushort)disk,
            IsZero = false,
            OffsetBytes = sector * SimDisk.SectorBytes,
            LengthBytes = data.Length,
        };
        message.Attach(data, null);
        return message;
    }

    /// <summary>The standby compared a digest.</summary>
    public void OnCompared(DiskRange range, bool isSame)
    {
        _unanswered--;
        if (!isSame)
        {
            long sector = (range.Disk * ToyMachine.SectorsPerDisk) + (range.OffsetBytes / SimDisk.SectorBytes);
            _differing.Enqueue((int)sector / ChunkSectors);
        }
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
