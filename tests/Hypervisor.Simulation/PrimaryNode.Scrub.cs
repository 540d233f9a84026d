using System;
using System.Collections.Generic;
using System.Security.Cryptography;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <content>Comparing everything: disks in the order of the guest's writes, RAM at cuts.</content>
internal sealed partial class PrimaryNode
{
    private const int ScrubSectors = 2; // of more some are always busy
    private const int ScrubPagesPerCut = 2; // a small standby has no room for more
    private const int HashBytes = 8;
    private const int NoPage = -1;
    private const int ScrubStride = 1000; // more sectors than a disk has

    private int _scrubPage = NoPage;

    /// <summary>Scrubs that found everything the same.</summary>
    public int SoundScrubs { get; private set; }

    public void Scrub() => Post(0, () => _core.StartScrub(bytesPerSecond: 1));

    /// <summary>What the two rims agree on.</summary>
    public static byte[] HashOf(ReadOnlySpan<byte> bytes) => SHA256.HashData(bytes)[..HashBytes];

    void IPrimaryActions.StartScrub(long bytesPerSecond)
    {
        World.Trace(Name, "scrubs");
        _scrubPage = NoPage;
        int life = _captureLife;
        Post(World.Prng.Micros(10, 500), () => ScrubDisks(life, 0));
    }

    void IPrimaryActions.EndScrub(string? reason, long sentBytes)
    {
        World.Trace(Name, $"scrub ends: {reason ?? "all the same"}");
        _scrubPage = NoPage;
        if (reason is null)
        {
            SoundScrubs++;
            _universe.Standby.CheckScrubbed();
        }
    }

    private void ScrubDisks(int life, int sector)
    {
        if (life != _captureLife || _core.Status(Clock).Scrub.State != ScrubState.Running)
        {
            return;
        }

        int disk = sector / ScrubStride;
        if (disk == ToyMachine.Disks)
        {
            _scrubPage = 0;
            return;
        }

        int first = sector % ScrubStride;
        if (first * SimDisk.SectorBytes >= _disks[disk].LengthBytes)
        {
            ScrubDisks(life, (disk + 1) * ScrubStride);
            return;
        }

        bool isBusy = _guest.IsBusy(disk, first, ScrubSectors);
        Post(World.Prng.Micros(50, 1000), () => ScrubDisks(life, isBusy ? sector : sector + ScrubSectors));
        if (!isBusy)
        {
            int offset = first * SimDisk.SectorBytes, length = ScrubSectors * SimDisk.SectorBytes;
            _core.OnScrubRead(
                ScrubOf((ushort)disk, offset, _disks[disk].Bytes.AsSpan(offset, length)), Clock);
        }
    }

    /// <summary>The next pages as of a cut.</summary>
    private IEnumerable<ScrubMessage> ScrubCut()
    {
        for (int i = 0; i < ScrubPagesPerCut && _scrubPage is not NoPage and < ToyMachine.Pages; i++, _scrubPage++)
        {
            int offset = _scrubPage * ToyMachine.PageBytes;
            yield return ScrubOf(
                ScrubMessage.Ram, offset, _guest.Machine.Ram.AsSpan(offset, ToyMachine.PageBytes));
        }
    }

    private void HandScrub(ScrubMessage scrub)
    {
        _core.OnScrubRead(scrub, Clock);
        if (scrub.Range.OffsetBytes == (ToyMachine.Pages - 1) * ToyMachine.PageBytes)
        {
            _core.OnScrubSent();
        }
    }

    private static ScrubMessage ScrubOf(ushort where, int offset, ReadOnlySpan<byte> bytes)
    {
        var message = new ScrubMessage { Range = new DiskRange(where, offset, bytes.Length) };
        message.Attach(HashOf(bytes), null);
        return message;
    }
}
