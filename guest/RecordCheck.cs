using System;
using System.Buffers.Binary;
using System.IO;

namespace Hypervisor.Guest;

/// <summary>Checks the disk of a counting guest: every record whole, none missing, and how far the guest got.</summary>
public sealed record RecordCheck
{
    /// <summary>The last step whose record is on the disk; 0 when there is none.</summary>
    public required ulong HighestStep { get; init; }

    /// <summary>Valid records found.</summary>
    public required int RecordCount { get; init; }

    /// <summary>What is wrong, one line; null when the disk is sound.</summary>
    public required string? Fault { get; init; }

    /// <summary>Reads the first <paramref name="slots"/> sectors, or all that the image has.</summary>
    /// <param name="image">The raw disk.</param>
    /// <param name="disk">The guest's index of the disk, from 0.</param>
    /// <param name="slots">The guest's slots= parameter.</param>
    public static RecordCheck Of(Stream image, uint disk, int slots = StepRecord.SlotsDefault)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(slots, 1);
        int used = (int)Math.Min(slots, image.Length / StepRecord.Bytes);
        ulong[] steps = new ulong[used];
        byte[] sector = new byte[StepRecord.Bytes];
        ulong highest = 0;
        int count = 0;
        image.Position = 0;
        for (int slot = 0; slot < used; slot++)
        {
            image.ReadExactly(sector);
            if (!sector.AsSpan().ContainsAnyExcept((byte)0))
            {
                continue;
            }

            string? fault = FaultOf(sector, disk, (ulong)slot, (ulong)used);
            if (fault is not null)
            {
                return new RecordCheck { HighestStep = highest, RecordCount = count, Fault = $"slot {slot}: {fault}" };
            }

            steps[slot] = BinaryPrimitives.ReadUInt64LittleEndian(sector.AsSpan(8));
            highest = Math.Max(highest, steps[slot]);
            count++;
        }

        return new RecordCheck { HighestStep = highest, RecordCount = count, Fault = Hole(steps, highest) };
    }

    /// <summary>The check of an image file.</summary>
    public static RecordCheck OfFile(string path, uint disk, int slots = StepRecord.SlotsDefault)
    {
        using FileStream image = File.OpenRead(path);
        return Of(image, disk, slots);
    }

    private static string? FaultOf(ReadOnlySpan<byte> sector, uint disk, ulong slot, ulong slots)
    {
        if (!StepRecord.TryRead(sector, out ulong step, out uint recordDisk, out ulong recordSlot))
        {
            return "no whole record";
        }

        if (recordDisk != disk)
        {
            return $"record of disk {recordDisk}, expected disk {disk}";
        }

        return recordSlot == slot && step != 0 && (step - 1) % slots == slot
            ? null
            : $"record of step {step} for slot {recordSlot}";
    }

    // The last `slots` steps up to the highest must all be there; older ones were overwritten.
    private static string? Hole(ulong[] steps, ulong highest)
    {
        ulong slots = (ulong)steps.Length;
        for (ulong step = highest > slots ? highest - slots + 1 : 1; step <= highest; step++)
        {
            ulong found = steps[(step - 1) % slots];
            if (found != step)
            {
                return $"step {step} is missing, its slot holds step {found}, the highest is {highest}";
            }
        }

        return null;
    }
}
