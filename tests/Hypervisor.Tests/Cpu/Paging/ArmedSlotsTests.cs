using Hypervisor.Cpu.Paging;
using Xunit;

namespace Hypervisor.Tests.Cpu.Paging;

public sealed class ArmedSlotsTests
{
    private readonly ArmedSlots _armed = new(pageCount: 16);

    [Fact]
    public void Page_is_armed_nowhere_in_one_slot_or_in_many()
    {
        Assert.Equal(ArmedSlots.Nowhere, _armed.Take(3));
        _armed.Add(page: 3, slot: 0);
        _armed.Add(page: 3, slot: 0);
        Assert.Equal(0, _armed.Take(3));
        Assert.Equal(ArmedSlots.Nowhere, _armed.Take(3));

        _armed.Add(page: 3, slot: 7);
        _armed.Add(page: 3, slot: 8);
        _armed.Add(page: 3, slot: 7);
        Assert.Equal(ArmedSlots.Anywhere, _armed.Take(3));
    }

    [Fact]
    public void Slots_are_remembered_until_there_are_too_many()
    {
        _armed.Add(page: 1, slot: 9);
        Assert.Equal([9], _armed.Slots.ToArray());
        _armed.Clear();
        Assert.Equal([], _armed.Slots.ToArray());
        Assert.Equal(9, _armed.Take(1)); // what is known of pages stays

        for (int i = 0; i < 5000; i++)
        {
            _armed.Add(page: i % 16, slot: i);
        }

        Assert.True(_armed.HasOverflowed);
        _armed.Clear();
        Assert.False(_armed.HasOverflowed);
    }
}
