using System;
using System.Collections.Generic;
using System.Security.Cryptography;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <summary>
/// The full copy of a running toy machine: every page and every range of every disk that changed since the standby was
/// there, once: as it is, or, a disk's range by chance, as a digest that the standby compares.
/// </summary>
internal sealed class CopyJob
{
    private const int ChunkSectors = 6;
    private const int DiskChunks = 100; // more than a disk has

    private readonly GuestHost _guest;
    private readonly SimDisk[] _disks;
    private readonly Prng _prng;
    private readonly ToyChanges _changes;
    private readonly Queue<int> _differing = new();
    private readonly Queue<int> _chunks = new();
    private readonly Queue<int> _pages = new();
    private int _unanswered;

    public CopyJob(GuestHost guest, SimDisk[] disks, Prng prng, ToyChanges changes, ResyncPlan plan)
    {
        _guest = guest;
        _disks = disks;
        _prng = prng;
        _changes = changes;
        for (int chunk = 0; chunk < ToyMachine.Disks * DiskChunks; chunk++)
        {
            (int disk, int sector, int count) = PlaceOf(chunk);
            if (count > 0 && changes.AreSectorsChanged(disk, sector, count, plan.DisksAfter))
            {
                _chunks.Enqueue(chunk);
            }
        }

        for (int page = 0; page < ToyMachine.Pages; page++)
        {
            if (changes.IsPageChanged(page, plan.RamAfter))
            {
                _pages.Enqueue(page);
            }
        }
    }

    public bool IsDone => _chunks.Count == 0 && _unanswered == 0 && _differing.Count == 0 && _pages.Count == 0;

    /// <summary>The next piece; null when there is none at the moment.</summary>
    public Message? Next()
    {
        bool isAgain = _differing.TryPeek(out int chunk);
        bool isAny = isAgain || _chunks.TryPeek(out chunk);

        // Not while it only waits for answers: they would wait behind the pages.
        if (_pages.Count > 0 && (!isAny || _prng.OneIn(2)))
        {
            int page = _pages.Dequeue();
            _changes.Take(_guest.Machine, page);
            return Block(_guest.Machine, page);
        }

        if (!isAny)
        {
            return null;
        }

        (int disk, int sector, int count) = PlaceOf(chunk);
        if (_guest.IsBusy(disk, sector, count))
        {
            return null;
        }

        byte[] data = _disks[disk].Bytes
            .AsSpan(sector * SimDisk.SectorBytes, count * SimDisk.SectorBytes).ToArray();
        if (isAgain)
        {
            _ = _differing.Dequeue();
        }
        else
        {
            _ = _chunks.Dequeue();
            if (_prng.OneIn(2))
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
            int chunk = (int)range.OffsetBytes / SimDisk.SectorBytes / ChunkSectors;
            _differing.Enqueue((range.Disk * DiskChunks) + chunk);
        }
    }

    private (int Disk, int Sector, int Count) PlaceOf(int chunk)
    {
        int disk = chunk / DiskChunks;
        int sector = chunk % DiskChunks * ChunkSectors;
        return (disk, sector, Math.Min(ChunkSectors, ((int)_disks[disk].LengthBytes / SimDisk.SectorBytes) - sector));
    }

    /// <summary>A page as it is.</summary>
    public static RamBlockMessage Block(ToyMachine machine, int page)
    {
        byte[] bytes = new byte[ToyMachine.PageBytes + 1];
        bytes[0] = (byte)page;
        Array.Copy(machine.Ram, page * ToyMachine.PageBytes, bytes, 1, ToyMachine.PageBytes);
        var message = new RamBlockMessage { PageCount = 1 };
        message.Attach(bytes, null);
        return message;
    }
}
