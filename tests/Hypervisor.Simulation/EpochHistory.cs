using System;
using System.Collections.Generic;
using Hypervisor.Backends.Block;

namespace Hypervisor.Simulation;

/// <summary>
/// What every epoch of the current incarnation was at the primary: the truth that the standby is held against.
/// </summary>
internal sealed class EpochHistory
{
    private readonly List<Cut> _cuts = [];

    /// <summary>The disks as the tagged operations leave them.</summary>
    public byte[][] Disks { get; } = NewDisks();

    public int Count => _cuts.Count;

    public bool HasFlush { get; set; }

    /// <summary>One epoch.</summary>
    internal sealed record Cut(byte[] Ram, byte[] State, byte[][] Disks, long ConsoleBytes, bool HasFlush);

    public Cut this[ulong epoch] => _cuts[(int)epoch];

    /// <summary>A new incarnation begins with what the primary's disks hold.</summary>
    public void Begin(ReadOnlySpan<SimDisk> disks)
    {
        _cuts.Clear();
        HasFlush = false;
        for (int i = 0; i < Disks.Length; i++)
        {
            Disks[i] = (byte[])disks[i].Bytes.Clone();
        }
    }

    public void Apply(ToyRequest request)
    {
        if (request.Operation == BlockOperation.Resize)
        {
            HasFlush = true; // who asked is told that it is done
            Array.Resize(ref Disks[request.Disk], request.Count * SimDisk.SectorBytes);
            return;
        }

        Span<byte> disk = Disks[request.Disk];
        switch (request.Operation)
        {
            case BlockOperation.Write:
                request.Data().CopyTo(disk[(request.Sector * SimDisk.SectorBytes)..]);
                break;
            case BlockOperation.Flush:
                HasFlush = true;
                break;
            default:
                disk.Slice(request.Sector * SimDisk.SectorBytes, request.Count * SimDisk.SectorBytes).Clear();
                break;
        }
    }

    public void Take(ToyMachine machine, byte[] state)
    {
        byte[][] disks = new byte[Disks.Length][];
        for (int i = 0; i < disks.Length; i++)
        {
            disks[i] = (byte[])Disks[i].Clone();
        }

        _cuts.Add(new Cut((byte[])machine.Ram.Clone(), state, disks, machine.ConsoleBytes, HasFlush));
        HasFlush = false;
    }

    /// <summary>The standby holds exactly this epoch: RAM, state and disks together (rules 7, 10, 18).</summary>
    public void Check(
        ulong epoch, string where, ReadOnlySpan<byte> ram, ReadOnlySpan<byte> state, ReadOnlySpan<SimDisk> disks)
    {
        if (epoch >= (ulong)_cuts.Count)
        {
            throw new RuleViolationException(9, $"{where} has epoch {epoch}, the primary cut {_cuts.Count}");
        }

        Cut cut = _cuts[(int)epoch];
        if (!ram.SequenceEqual(cut.Ram) || !state.SequenceEqual(cut.State))
        {
            throw new RuleViolationException(7, $"{where}: RAM or state is not that of epoch {epoch}");
        }

        if (!AreDisks(cut, disks))
        {
            throw new RuleViolationException(
                18, $"{where}: the disks are not those of epoch {epoch}, first {FirstDifference(cut, disks)}");
        }
    }

    /// <summary>Whether the disks are exactly those of a cut.</summary>
    public static bool AreDisks(Cut cut, ReadOnlySpan<SimDisk> disks)
    {
        for (int i = 0; i < disks.Length; i++)
        {
            if (!disks[i].Bytes.AsSpan().SequenceEqual(cut.Disks[i]))
            {
                return false;
            }
        }

        return true;
    }

    private static string FirstDifference(Cut cut, ReadOnlySpan<SimDisk> disks)
    {
        int disk = 0;
        while (disks[disk].Bytes.AsSpan().SequenceEqual(cut.Disks[disk]))
        {
            disk++;
        }

        byte[] has = disks[disk].Bytes;
        int sector = has.AsSpan().CommonPrefixLength(cut.Disks[disk]) / SimDisk.SectorBytes;
        return $"at sector {sector} of disk {disk}, which has {has.Length / SimDisk.SectorBytes} of "
            + $"{cut.Disks[disk].Length / SimDisk.SectorBytes}";
    }

    private static byte[][] NewDisks()
    {
        byte[][] disks = new byte[ToyMachine.Disks][];
        for (int i = 0; i < disks.Length; i++)
        {
            disks[i] = new byte[ToyMachine.SectorsPerDisk * SimDisk.SectorBytes];
        }

        return disks;
    }
}
