using System;
using System.Buffers.Binary;
using System.Collections.Generic;

namespace Hypervisor.Simulation;

/// <summary>
/// What the world has seen of the guest: one console, addressed by byte offset, and the records it was promised.
/// </summary>
internal sealed class Outside(World world, bool mayRepeat)
{
    private readonly List<byte> _seen = [];
    private ulong _oldestRecord;
    private ulong _liveGeneration;
    private string _liveNode = "";

    /// <summary>Bytes seen.</summary>
    public long SeenBytes => _seen.Count;

    /// <summary>Last record that the guest called safe.</summary>
    public ulong SafeRecord { get; private set; }

    /// <summary>Generation of the side that runs, and which side that is.</summary>
    public ulong LiveGeneration => _liveGeneration;

    /// <summary>A side starts to run by right of a new generation.</summary>
    public void GoLive(string node, ulong generation)
    {
        if (generation <= _liveGeneration)
        {
            throw new RuleViolationException(
                27, $"{node} went live in generation {generation}, {_liveNode} has {_liveGeneration}");
        }

        _liveGeneration = generation;
        _liveNode = node;
    }

    /// <summary>The side that runs begins a new generation without the other one.</summary>
    public void GoOnAlone(string node, ulong generation)
    {
        if (node != _liveNode || generation < _liveGeneration)
        {
            throw new RuleViolationException(
                29, $"{node} goes on alone in generation {generation}, {_liveNode} has {_liveGeneration}");
        }

        _liveGeneration = generation;
    }

    /// <summary>A guest that is powered on again prints from the start.</summary>
    /// <param name="record">The last record on its disk: what is before is not looked at.</param>
    public void Restart(ulong record)
    {
        _oldestRecord = record + 1;
        _seen.Clear();
        SafeRecord = 0;
    }

    public void Emit(string node, ulong generation, long offset, ReadOnlySpan<byte> bytes)
    {
        bool isLive = node == _liveNode && generation == _liveGeneration;

        // See Extras.ClockJumps. What it repeats is compared below.
        if (!isLive && !(mayRepeat && offset + bytes.Length <= _seen.Count))
        {
            throw new RuleViolationException(
                26, $"{node} of generation {generation} lets output out while {_liveNode} runs {_liveGeneration}");
        }

        if (offset > _seen.Count)
        {
            throw new RuleViolationException(5, $"{node} lost output: {_seen.Count} bytes seen, next is {offset}");
        }

        for (int i = 0; i < bytes.Length; i++)
        {
            long at = offset + i;
            if (at == _seen.Count)
            {
                _seen.Add(bytes[i]);
            }
            else if (_seen[(int)at] != bytes[i])
            {
                throw new RuleViolationException(5, $"{node} contradicts at byte {at} what was seen before");
            }
        }

        for (int i = 0; i + ToyMachine.LineBytes <= bytes.Length; i += ToyMachine.LineBytes)
        {
            if (bytes[i] == ToyMachine.RecordMark)
            {
                SafeRecord = Math.Max(SafeRecord, BinaryPrimitives.ReadUInt64LittleEndian(bytes[(i + 1)..]));
            }
        }

        if (world.IsTracing)
        {
            world.Trace("outside", $"sees bytes {offset}..{offset + bytes.Length} of {node}");
        }
    }

    /// <summary>A side that takes over from an epoch knows all that was seen (rule 1).</summary>
    public void CheckImplied(string node, ulong epoch, long consoleBytes)
    {
        if (consoleBytes < _seen.Count)
        {
            throw new RuleViolationException(
                1, $"{node} goes live at epoch {epoch} with {consoleBytes} bytes printed, {_seen.Count} were seen");
        }
    }

    /// <summary>Every record that was called safe is on the disk (rule 19).</summary>
    public void CheckRecords(string where, ReadOnlySpan<byte> disk)
    {
        ulong kept = SafeRecord > ToyMachine.LogSlots ? SafeRecord - ToyMachine.LogSlots + 1 : 1;
        ulong oldest = Math.Max(_oldestRecord, kept);
        for (ulong record = oldest; record <= SafeRecord; record++)
        {
            int slot = (int)(record % ToyMachine.LogSlots);
            ulong value = BinaryPrimitives.ReadUInt64LittleEndian(disk[(slot * SimDisk.SectorBytes)..]);
            if (value < (ToyMachine.RecordFlag | record))
            {
                throw new RuleViolationException(
                    19, $"{where}: record {record} was called safe, its slot has {value:X}");
            }
        }
    }
}
