using System;
using System.IO;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <content>Comparing what is here with what the primary has, and a copy that decays.</content>
internal sealed partial class StandbyNode
{
    private (int Disk, int Offset)? _decay; // the byte that changed by itself; disk -1: of RAM

    /// <summary>Changes a byte of RAM or of a disk behind everybody's back.</summary>
    public void Decay()
    {
        int disk = World.Prng.Next(-1, _disks.Length);
        byte[] bytes = disk < 0 ? _ram : _disks[disk].Bytes;
        int offset = World.Prng.Next(0, bytes.Length);
        bytes[offset] ^= 0x04;
        _decay = (disk, offset);
        World.Trace(Name, $"byte {offset} of {(disk < 0 ? "RAM" : $"disk {disk}")} decays");
    }

    /// <summary>An operator who knows what happened compares everything, as soon as there is a pair.</summary>
    private void AskForScrub()
    {
        if (Host.IsDoubtful && _core.State == StandbyState.Protecting)
        {
            _universe.Primary.Scrub();
            Post(World.Prng.Micros(20_000, 40_000), AskForScrub);
        }
    }

    /// <summary>This side has exactly this epoch; of disks in doubt nothing is known.</summary>
    private void CheckEpoch(ulong number, StagedEpoch epoch)
    {
        ReadOnlySpan<SimDisk> known = Host.IsDoubtful ? [] : _disks;
        _universe.History.Check(number, Name, _ram, StateOf(epoch), known);
    }

    /// <summary>A scrub said that everything is the same: it is, or the guest has mended it (rule 25).</summary>
    public void CheckScrubbed()
    {
        if (Host.IsDoubtful)
        {
            ulong applied = _core.Status().AppliedEpoch;
            if (!EpochHistory.AreDisks(_universe.History[applied], _disks))
            {
                throw new RuleViolationException(
                    25, $"a scrub found nothing, and the disks are not those of epoch {applied}");
            }

            Host.IsDoubtful = false;
            DoubtsEnded++;
        }

        if (_decay is var (disk, offset))
        {
            EpochHistory.Cut truth = _universe.History[_core.Status().AppliedEpoch];
            byte here = disk < 0 ? _ram[offset] : _disks[disk].Bytes[offset];
            byte there = disk < 0 ? truth.Ram[offset] : truth.Disks[disk][offset];
            if (here != there)
            {
                throw new RuleViolationException(25, $"a scrub found nothing, and byte {offset} of {disk} differs");
            }
        }
    }

    /// <summary>Scrubs that found disks in doubt the same, and those that found that they are not.</summary>
    public int DoubtsEnded { get; private set; }

    public int DoubtsConfirmed { get; private set; }

    private void Compare(ScrubMessage scrub)
    {
        (ushort where, long offset, long length) = scrub.Range;
        byte[] bytes = scrub.IsRam ? _ram : _disks[where].Bytes;
        if (PrimaryNode.HashOf(bytes.AsSpan((int)offset, (int)length)).AsSpan().SequenceEqual(scrub.Bulk.Span))
        {
            return;
        }

        string text = $"scrub: {offset} + {length} of {(scrub.IsRam ? "RAM" : $"disk {where}")} differ";
        if (Host.IsDoubtful)
        {
            DoubtsConfirmed++;
            throw new IOException(text);
        }

        throw _decay is null ? new RuleViolationException(25, text) : new IOException(text);
    }
}
