using System;
using System.IO;
using Hypervisor.Guest;
using Xunit;

namespace Hypervisor.Tests.Guest;

public sealed class RecordCheckTests
{
    private const int Slots = 16;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(100)]
    public void A_whole_disk_tells_its_highest_step(int steps)
    {
        RecordCheck check = RecordCheck.Of(new MemoryStream(Disk(steps)), 0, Slots);

        Assert.Null(check.Fault);
        Assert.Equal((ulong)steps, check.HighestStep);
    }

    [Fact]
    public void Every_flipped_bit_of_a_record_is_found()
    {
        byte[] disk = Disk(Slots);
        for (int bit = 0; bit < StepRecord.Bytes * 8; bit += 3)
        {
            disk[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.NotNull(RecordCheck.Of(new MemoryStream(disk), 0, Slots).Fault);
            disk[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Fact]
    public void A_hole_is_found()
    {
        byte[] disk = Disk(20);
        Write(disk, 2); // step 18 was lost: its slot holds the round before

        RecordCheck check = RecordCheck.Of(new MemoryStream(disk), 0, Slots);

        Assert.Equal("step 18 is missing, its slot holds step 2, the highest is 20", check.Fault);
    }

    [Fact]
    public void A_record_of_another_disk_is_found()
        => Assert.Contains("disk 0", RecordCheck.Of(new MemoryStream(Disk(3)), 1, Slots).Fault);

    private static byte[] Disk(int steps)
    {
        byte[] disk = new byte[Slots * StepRecord.Bytes];
        for (int step = 1; step <= steps; step++)
        {
            Write(disk, (ulong)step);
        }

        return disk;
    }

    private static void Write(byte[] disk, ulong step)
    {
        ulong slot = (step - 1) % Slots;
        StepRecord.Write(disk.AsSpan((int)slot * StepRecord.Bytes, StepRecord.Bytes), step, 0, slot);
    }
}
