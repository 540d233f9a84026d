using System.Collections.Generic;
using System.Linq;
using Hypervisor.Core.Memory;
using Hypervisor.Machine.Boot;
using Xunit;

namespace Hypervisor.Tests.Boot;

public sealed class MemoryMapTests
{
    [Theory]
    [InlineData(16L << 20, 0x100_0000UL, 0UL)]
    [InlineData(512L << 20, 0x2000_0000UL, 0UL)]
    [InlineData(3L << 30, 0xC000_0000UL, 0UL)]
    [InlineData(5L << 30, 0xC000_0000UL, 0x1_8000_0000UL)]
    public void All_ram_but_the_first_mebibytes_holes_is_usable(long ramBytes, ulong lowEnd, ulong highEnd)
    {
        using var ram = new GuestRam(ramBytes);

        IReadOnlyList<MemoryRange> map = MemoryMap.Of(ram);

        Assert.Equal(new MemoryRange(0, 0x9_FC00, MemoryKind.Usable), map[0]);
        Assert.Equal(new MemoryRange(0x9_FC00, 0x400, MemoryKind.Reserved), map[1]);
        Assert.Equal(new MemoryRange(0xE_0000, 0x2_0000, MemoryKind.Reserved), map[2]);
        Assert.Equal(new MemoryRange(0x10_0000, lowEnd - 0x10_0000, MemoryKind.Usable), map[3]);
        Assert.Equal(highEnd, map.Count > 4 ? map[4].EndGpa : 0);
        Assert.Equal(highEnd == 0 ? 4 : 5, map.Count);
    }

    [Fact]
    public void Ranges_ascend_without_overlap_and_are_ram_where_they_say_so()
    {
        using var ram = new GuestRam(5L << 30);

        IReadOnlyList<MemoryRange> map = MemoryMap.Of(ram);

        Assert.All(map.Zip(map.Skip(1)), pair => Assert.True(pair.First.EndGpa <= pair.Second.StartGpa));
        Assert.All(map, range => Assert.True(ram.TryGetOffset(range.StartGpa, (long)range.LengthBytes, out _)));
    }

    [Fact]
    public void An_entry_is_base_length_type()
    {
        byte[] entry = new byte[MemoryMap.E820EntryBytes];

        MemoryMap.WriteE820(new MemoryRange(0x1_0203_0405, 0x0607, MemoryKind.Reserved), entry);

        Assert.Equal([5, 4, 3, 2, 1, 0, 0, 0, 7, 6, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0], entry);
    }
}
