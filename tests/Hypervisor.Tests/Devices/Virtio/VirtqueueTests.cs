using System;
using Hypervisor.Core.Memory;
using Hypervisor.Devices.Virtio;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Virtio;

public sealed class VirtqueueTests : IDisposable
{
    private const ushort Size = 8;
    private const ulong QueueGpa = 0x10_0000, Buffer = 0x11_0000, Table = 0x12_0000, TableTwo = 0x13_0000;

    private readonly GuestRam _ram = new(2 << 20);
    private readonly VirtioNegotiation _negotiation = new(ulong.MaxValue)
    {
        Accepted = VirtioFeature.RingIndirectDescriptors,
    };

    private readonly VirtqueueChain _chain = new();
    private readonly Virtqueue _queue;
    private readonly VirtqueueDriver _driver;

    public VirtqueueTests()
    {
        _queue = new Virtqueue(_ram, _negotiation, 256);
        _driver = new VirtqueueDriver(_ram, QueueGpa, Size);
        _queue.Resize(Size);
        _queue.Descriptors = _driver.Descriptors;
        _queue.Available = _driver.Available;
        _queue.Used = _driver.Used;
        Assert.True(_queue.TryEnable());
    }

    public void Dispose() => _ram.Dispose();

    [Theory]
    [InlineData("descriptor that points to itself")]
    [InlineData("circle of two")]
    [InlineData("head out of range")]
    [InlineData("next out of range")]
    [InlineData("index too far ahead")]
    [InlineData("index behind")]
    [InlineData("buffer outside RAM")]
    [InlineData("buffer that wraps")]
    [InlineData("buffer across the end of RAM")]
    [InlineData("buffer in the VGA hole")]
    [InlineData("largest length")]
    [InlineData("zero length")]
    [InlineData("readable behind writable")]
    [InlineData("indirect in indirect")]
    [InlineData("indirect with next")]
    [InlineData("empty table")]
    [InlineData("table of broken size")]
    [InlineData("table too long")]
    [InlineData("table outside RAM")]
    [InlineData("circle in the table")]
    [InlineData("next outside the table")]
    public void Ring_that_breaks_the_rules_is_reported_as_broken(string shape)
    {
        MakeMalicious(_driver, shape);

        Assert.Equal(VirtqueueResult.Broken, _queue.TryPop(_chain));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(Size)]
    public void Chain_of_any_length_up_to_the_queue_s_size_is_taken(int length)
    {
        var buffers = new (ulong, uint, bool)[length];
        Array.Fill(buffers, (Buffer, 16u, true));
        ushort head = _driver.Add(buffers);

        Assert.Equal(VirtqueueResult.Chain, _queue.TryPop(_chain));
        Assert.Equal((head, 0L, 16L * length), (_chain.Head, _chain.ReadableBytes, _chain.WritableBytes));
        Assert.Equal(VirtqueueResult.Empty, _queue.TryPop(_chain));
    }

    [Fact]
    public void Indirect_table_may_be_longer_than_the_queue_and_may_follow_plain_descriptors()
    {
        for (int i = 0; i < 40; i++)
        {
            ushort flags = i == 39 ? VirtqueueDriver.Write : (ushort)(VirtqueueDriver.Write | VirtqueueDriver.Next);
            _driver.WriteDescriptor(Table + (16UL * (ulong)i), Buffer, 10, flags, (ushort)(i + 1));
        }

        _driver.SetDescriptor(0, Buffer, 5, VirtqueueDriver.Next, 1);
        _driver.SetDescriptor(1, Table, 40 * 16, VirtqueueDriver.Indirect, 0);
        _driver.Publish(0);

        Assert.Equal(VirtqueueResult.Chain, _queue.TryPop(_chain));
        Assert.Equal((5L, 400L), (_chain.ReadableBytes, _chain.WritableBytes));
    }

    [Fact]
    public void Indirect_table_without_the_feature_is_broken()
    {
        _negotiation.Accepted = 0;
        _driver.AddIndirect(Table, (Buffer, 16u, true));

        Assert.Equal(VirtqueueResult.Broken, _queue.TryPop(_chain));
    }

    [Fact]
    public void Indexes_wrap_without_a_hole()
    {
        for (int i = 0; i < 70_000; i++)
        {
            ushort head = _driver.Add((Buffer, 16u, true));
            Assert.Equal(VirtqueueResult.Chain, _queue.TryPop(_chain));
            Assert.True(_queue.TryPush(_chain.Head, (uint)i));
            Assert.True(_driver.TryTakeUsed(out ushort used, out uint written));
            Assert.Equal((head, (uint)i), (used, written));
        }
    }

    [Fact]
    public void Rule_11_writes_to_the_guest_mark_their_pages_dirty()
    {
        _driver.Add((Buffer, 4096u, true));
        _queue.TryPop(_chain);
        _ram.ClearFlags((long)Buffer / 4096, PageState.Dirty);
        _ram.ClearFlags((long)_driver.Used / 4096, PageState.Dirty);

        Assert.True(_chain.TryWrite(_ram, 0, new byte[100]));
        Assert.True(_queue.TryPush(_chain.Head, 100));

        Assert.Equal((byte)PageState.Dirty, _ram.StateBytes[(int)Buffer / 4096] & (byte)PageState.Dirty);
        Assert.Equal((byte)PageState.Dirty, _ram.StateBytes[(int)_driver.Used / 4096] & (byte)PageState.Dirty);
    }

    [Fact]
    public void Bytes_are_gathered_and_scattered_across_descriptors()
    {
        _ram.TryWrite(Buffer, [1, 2, 3, 4, 5, 6, 7]);
        _driver.Add(
            (Buffer, 3u, false), (Buffer + 3, 4u, false), (Buffer + 0x100, 2u, true), (Buffer + 0x200, 3u, true));
        _queue.TryPop(_chain);
        byte[] read = new byte[4];

        Assert.True(_chain.TryRead(_ram, 2, read));
        Assert.True(_chain.TryWrite(_ram, 1, [8, 9, 10]));
        Assert.False(_chain.TryRead(_ram, 5, new byte[4]));
        Assert.False(_chain.TryWrite(_ram, 3, [8, 9, 10]));

        Assert.Equal([3, 4, 5, 6], read);
        Assert.Equal([0, 8], _ram.ReadOnlyBytes((long)Buffer + 0x100, 2).ToArray());
    }

    [Fact]
    public void Without_event_index_the_flag_decides_on_interrupts()
    {
        Assert.True(_queue.TakeInterrupt());
        _driver.SetAvailableFlags(1);
        Assert.False(_queue.TakeInterrupt());
    }

    [Fact]
    public void With_event_index_one_interrupt_comes_when_the_wanted_index_is_passed()
    {
        _negotiation.Accepted = VirtioFeature.RingEventIndex;
        _driver.SetUsedEvent(2);
        bool[] interrupts = new bool[5];
        for (int i = 0; i < interrupts.Length; i++)
        {
            _driver.Add((Buffer, 16u, true));
            _queue.TryPop(_chain);
            _queue.TryPush(_chain.Head, 0);
            interrupts[i] = _queue.TakeInterrupt();
        }

        Assert.Equal([true, false, true, false, false], interrupts); // the first is always sent
    }

    [Fact]
    public void Asking_for_a_kick_writes_the_event_and_sees_a_chain_that_came_meanwhile()
    {
        _negotiation.Accepted = VirtioFeature.RingEventIndex;
        _driver.Add((Buffer, 16u, true));
        _queue.TryPop(_chain);

        Assert.False(_queue.AskForKick());
        Assert.Equal(1, _driver.AvailableEvent);
        _driver.Add((Buffer, 16u, true));
        Assert.True(_queue.AskForKick());
    }

    [Theory]
    [InlineData(0x10_0008UL, 0x10_0200UL, 0x10_0400UL)]
    [InlineData(0x10_0000UL, 0x10_0201UL, 0x10_0400UL)]
    [InlineData(0x10_0000UL, 0x10_0200UL, 0x10_0402UL)]
    [InlineData(0xFFFF_FFFF_FFFF_FFF0UL, 0x10_0200UL, 0x10_0400UL)]
    [InlineData(0x10_0000UL, 0x1F_FFF0UL, 0x10_0400UL)]
    [InlineData(0x10_0000UL, 0x10_0200UL, 0xA_0000UL)]
    public void Queue_with_misplaced_rings_is_not_enabled(ulong descriptors, ulong available, ulong used)
    {
        var queue = new Virtqueue(_ram, _negotiation, 256)
        {
            Descriptors = descriptors,
            Available = available,
            Used = used,
        };

        Assert.False(queue.TryEnable());
        Assert.False(queue.IsEnabled);
    }

    [Theory]
    [InlineData(0, 256)]
    [InlineData(100, 256)]
    [InlineData(512, 256)]
    [InlineData(128, 128)]
    public void Queue_takes_powers_of_two_up_to_its_maximum(ushort wanted, ushort size)
    {
        var queue = new Virtqueue(_ram, _negotiation, 256);
        queue.Resize(wanted);

        Assert.Equal(size, queue.Size);
    }

    /// <summary>Makes one chain available that a device must refuse.</summary>
    internal static void MakeMalicious(VirtqueueDriver driver, string shape)
    {
        const ushort next = VirtqueueDriver.Next, write = VirtqueueDriver.Write, indirect = VirtqueueDriver.Indirect;
        (ulong, uint, int, int) first = shape switch
        {
            "descriptor that points to itself" => (Buffer, 16u, next, 0),
            "circle of two" => (Buffer, 16u, next, 1),
            "next out of range" => (Buffer, 16u, next, driver.Size),
            "buffer outside RAM" => (0xF000_0000UL, 16u, write, 0),
            "buffer that wraps" => (ulong.MaxValue - 10, 4096u, write, 0),
            "buffer across the end of RAM" => (0x1F_FFF0UL, 4096u, write, 0),
            "buffer in the VGA hole" => (0x9_FFF0UL, 32u, write, 0),
            "largest length" => (Buffer, uint.MaxValue, write, 0),
            "zero length" => (Buffer, 0u, write, 0),
            "readable behind writable" => (Buffer, 16u, write | next, 2),
            "indirect with next" => (Table, 16u, indirect | next, 2),
            "empty table" => (Table, 0u, indirect, 0),
            "table of broken size" => (Table, 24u, indirect, 0),
            "table too long" => (Table, 1025u * 16, indirect, 0),
            "table outside RAM" => (0xF000_0000UL, 16u, indirect, 0),
            "indirect in indirect" or "circle in the table" or "next outside the table" => (Table, 32u, indirect, 0),
            _ => (Buffer, 16u, write, 0),
        };
        (ulong gpa, uint length, int flags, int link) = first;
        driver.SetDescriptor(0, gpa, length, (ushort)flags, (ushort)link);
        driver.SetDescriptor(1, Buffer, 16, next, 0);
        driver.SetDescriptor(2, Buffer, 16, 0, 0);
        driver.WriteDescriptor(TableTwo, Buffer, 16, write, 0);
        ushort tableLink = shape == "next outside the table" ? (ushort)2 : (ushort)1;
        bool isNested = shape == "indirect in indirect";
        driver.WriteDescriptor(Table, isNested ? TableTwo : Buffer, 16, isNested ? indirect : next, tableLink);
        driver.WriteDescriptor(Table + 16, Buffer, 16, next, 0);
        driver.Publish(shape == "head out of range" ? driver.Size : (ushort)0);
        if (shape is "index too far ahead" or "index behind")
        {
            driver.SetAvailableIndex(shape == "index behind" ? ushort.MaxValue : (ushort)(driver.Size + 1));
        }
    }
}
