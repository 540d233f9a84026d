using System;
using Hypervisor.Devices.Virtio;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Virtio;

public sealed class VirtioPciTransportTests : IDisposable
{
    private const byte FeaturesOk = 8, NeedsReset = 64;
    private const ulong Buffer = 0x30_0000;

    private readonly VirtioBench _bench;
    private readonly VirtioPciDriver _pci;

    public VirtioPciTransportTests()
    {
        _bench = new VirtioBench(context => new VirtioRng(context, 0));
        _pci = _bench.Probe();
    }

    public void Dispose() => _bench.Dispose();

    [Fact]
    public void Device_looks_modern()
    {
        Assert.Equal(0x1044_1AF4u, _pci.ReadPci(0, 4));
        Assert.Equal(1u, _pci.ReadPci(8, 1));
        Assert.Equal(1u, _pci.ReadPci(_pci.MsixCapability + 2, 2)); // two vectors
        Assert.NotEqual(0UL, _pci.DeviceFeatures & VirtioPciDriver.Version1);
        Assert.NotEqual(0UL, _pci.DeviceFeatures & (3UL << 28));
        Assert.Equal(1UL, _pci.ReadCommon(18, 2));
        Assert.Equal(64UL, _pci.ReadCommon(24, 2));
    }

    [Theory]
    [InlineData(VirtioPciDriver.Version1, true)]
    [InlineData(0UL, false)]                                   // legacy drivers are not for us
    [InlineData(VirtioPciDriver.Version1 | (1UL << 33), false)] // never offered
    [InlineData(VirtioPciDriver.Version1 | 1, false)]
    public void Features_are_agreed_on_or_the_bit_stays_clear(ulong features, bool isAgreed)
        => Assert.Equal(isAgreed, _pci.Negotiate(features));

    [Fact]
    public void Features_can_not_change_after_they_were_agreed_on()
    {
        _pci.Negotiate(VirtioPciDriver.Version1);
        _pci.WriteCommon(8, 4, 0);
        _pci.WriteCommon(12, 4, 1u << 28);

        Assert.Equal(0UL, _pci.ReadCommon(12, 4));
    }

    [Fact]
    public void Driver_can_not_start_without_agreed_features()
    {
        _pci.Negotiate(0);
        _pci.Status = 3 | FeaturesOk | 4;

        Assert.Equal(3, _pci.Status);
    }

    [Fact]
    public void Chains_are_served_from_the_start_of_the_driver_on()
    {
        VirtqueueDriver queue = SetUp(vector: 1, isStarted: false);
        queue.Add((Buffer, 16u, true));
        _pci.Kick(0);
        Assert.Equal(0, queue.UsedIndex);

        _pci.Start();

        Assert.Equal(1, queue.UsedIndex);
    }

    [Fact]
    public void Without_bus_mastering_nothing_is_served()
    {
        VirtqueueDriver queue = SetUp(vector: 1);
        _pci.WritePci(4, 2, 2);
        queue.Add((Buffer, 16u, true));
        _pci.Kick(0);
        Assert.Equal(0, queue.UsedIndex);

        _pci.WritePci(4, 2, 6);

        Assert.Equal(1, queue.UsedIndex);
    }

    [Fact]
    public void Without_msix_the_pin_and_the_isr_tell()
    {
        VirtqueueDriver queue = SetUp(vector: 1);
        queue.Add((Buffer, 16u, true));
        _pci.Kick(0);

        Assert.True(_bench.Harness.IsHigh(19)); // slot 4, pin A: PIRQ D
        Assert.Equal(1, _pci.ReadIsr());
        Assert.False(_bench.Harness.IsHigh(19));
        Assert.Equal(0, _pci.ReadIsr());
        Assert.Empty(_bench.Harness.Messages);
    }

    [Fact]
    public void With_msix_the_queue_s_vector_tells()
    {
        _pci.EnableMsix();
        _pci.SetVector(1, 0xFEE0_0000, 0x42);
        VirtqueueDriver queue = SetUp(vector: 1);
        queue.Add((Buffer, 16u, true));
        _pci.Kick(0);

        Assert.Equal([(0xFEE0_0000UL, 0x42u)], _bench.Harness.Messages);
        Assert.False(_bench.Harness.IsHigh(19));
        Assert.Equal(0, _pci.ReadIsr());
    }

    [Fact]
    public void Vector_that_is_not_there_reads_back_as_none()
    {
        _pci.WriteCommon(16, 2, 2);
        _pci.WriteCommon(26, 2, 1);

        Assert.Equal(0xFFFFUL, _pci.ReadCommon(16, 2));
        Assert.Equal(1UL, _pci.ReadCommon(26, 2));
    }

    [Fact]
    public void Queue_that_is_not_there_has_size_zero_and_takes_nothing()
    {
        _pci.WriteCommon(22, 2, 1);
        _pci.WriteCommon(28, 2, 1);

        Assert.Equal(0UL, _pci.ReadCommon(24, 2));
        Assert.Equal(0UL, _pci.ReadCommon(28, 2));
        _pci.Kick(5);
        _pci.Kick(0xFFFF);
    }

    [Fact]
    public void Configuration_space_reaches_the_structures()
    {
        int window = _pci.AccessCapability;
        _pci.WritePci(window + 4, 1, 4);
        _pci.WritePci(window + 8, 4, 20);
        _pci.WritePci(window + 12, 4, 1);

        _pci.WritePci(window + 16, 1, 1);

        Assert.Equal(1, _pci.Status);
        Assert.Equal(1u, _pci.ReadPci(window + 16, 1));
        _pci.WritePci(window + 8, 4, 0xFFFF_FFFF); // outside: nothing happens
        _pci.WritePci(window + 16, 1, 0);
        _pci.WritePci(window + 12, 4, 3);
        _pci.WritePci(window + 16, 4, 0);
        Assert.Equal(1, _pci.Status);
    }

    [Theory]
    [InlineData("descriptor that points to itself")]
    [InlineData("circle in the table")]
    [InlineData("index too far ahead")]
    [InlineData("head out of range")]
    [InlineData("buffer that wraps")]
    [InlineData("zero length")]
    public void Malicious_ring_breaks_its_device_until_the_reset(string shape)
    {
        _pci.EnableMsix();
        _pci.SetVector(0, 0xFEE0_0000, 0x99);
        VirtqueueDriver queue = SetUp(vector: 1);
        _pci.WriteCommon(16, 2, 0);

        VirtqueueTests.MakeMalicious(queue, shape);
        _pci.Kick(0);
        _pci.Kick(0);

        Assert.Equal(NeedsReset, _pci.Status & NeedsReset);
        Assert.Equal([(0xFEE0_0000UL, 0x99u)], _bench.Harness.Messages);
        Assert.Equal(0, queue.UsedIndex);
        _pci.Status = 3 | FeaturesOk | 4; // only a reset helps
        Assert.Equal(NeedsReset, _pci.Status & NeedsReset);
        queue = SetUp(vector: 1);
        Assert.Equal(0, _pci.Status & NeedsReset);
        queue.Add((Buffer, 16u, true));
        _pci.Kick(0);
        Assert.Equal(1, queue.UsedIndex);
    }

    [Fact]
    public void Queue_with_rings_outside_ram_breaks_the_device()
    {
        _pci.Negotiate(VirtioPciDriver.Version1);
        _pci.WriteCommon(32, 8, 0xF000_0000);
        _pci.WriteCommon(28, 2, 1);

        Assert.Equal(NeedsReset, _pci.Status & NeedsReset);
    }

    [Fact]
    public void Entropy_is_bounded_per_request()
    {
        VirtqueueDriver queue = SetUp(vector: 1);
        queue.Add((Buffer, 0x1_0000u, true));
        queue.Add((Buffer + 0x2_0000, 32u, true));
        queue.Add((Buffer, 8u, false));
        _pci.Kick(0);

        uint[] written = new uint[3];
        for (int i = 0; i < written.Length; i++)
        {
            Assert.True(queue.TryTakeUsed(out _, out written[i]));
        }

        Assert.Equal([VirtioRng.RequestBytesMax, 32, 0], written);
        Assert.NotEqual(0, _bench.Harness.Ram.ReadOnlyBytes((long)Buffer + 0x2_0000, 32).IndexOfAnyExcept((byte)0) + 1);
        Assert.Equal(0, _bench.Harness.Ram.ReadOnlyBytes((long)Buffer + 1024, 64).IndexOfAnyExcept((byte)0) + 1);
    }

    [Fact]
    public void Guest_that_asks_without_end_does_not_hold_the_bus()
    {
        VirtqueueDriver queue = SetUp(vector: 1);
        for (int round = 0; round < 2; round++)
        {
            while (queue.FreeCount != 0)
            {
                queue.Add((Buffer, 16u, true));
            }

            _pci.Kick(0);
            Assert.Equal(64 * (round + 1), queue.UsedIndex);
            while (queue.TryTakeUsed(out _, out _))
            {
                // Give the descriptors back.
            }
        }

        Assert.Equal(2, _bench.Harness.EventLoop.RunPosted()); // the rest was left for later, twice
    }

    private VirtqueueDriver SetUp(ushort vector, bool isStarted = true)
    {
        Assert.True(_pci.Negotiate(VirtioPciDriver.Version1 | (1UL << 28)));
        var queue = new VirtqueueDriver(_bench.Harness.Ram, 0x10_0000, 64);
        _pci.SetUpQueue(0, queue, vector);
        if (isStarted)
        {
            _pci.Start();
        }

        return queue;
    }
}
