using System;
using System.Collections.Generic;
using System.Linq;
using Hypervisor.Backends.Network;
using Xunit;

namespace Hypervisor.Tests.Backends.Network;

public sealed class FrameOutboxTests
{
    private const int Bytes = 1 << 17;

    private readonly FrameOutbox _outbox = new(Bytes);
    private int _rooms;

    public FrameOutboxTests() => _outbox.OnRoom = () => _rooms++;

    [Fact]
    public void Rule_01_frames_of_an_epoch_leave_with_its_release_and_not_before()
    {
        Add(0);
        _outbox.BeginEpoch(1);
        Add(1, 2);
        _outbox.BeginEpoch(2);
        Add(3);

        Assert.Equal([0], Take()); // sent before anything was held
        _outbox.Release(1);
        Assert.Equal([1, 2], Take());
        _outbox.Release(1);
        Assert.Empty(Take());
        _outbox.BeginEpoch(3);
        _outbox.Release(2);
        Assert.Equal([3], Take());
    }

    [Fact]
    public void First_frame_of_each_epoch_is_told()
    {
        var told = new List<ulong>();
        _outbox.OnHeld = told.Add;

        Add(0);
        _outbox.BeginEpoch(1);
        Add(1, 2);
        _outbox.BeginEpoch(2);
        _outbox.BeginEpoch(3);
        Add(3);
        _outbox.Pass();
        Add(4);

        Assert.Equal([1, 3], told);
    }

    [Fact]
    public void Rule_03_dropped_frames_never_leave_nor_does_anything_after_them()
    {
        _outbox.BeginEpoch(1);
        Add(1);
        _outbox.BeginEpoch(2);
        _outbox.Release(1); // let out, but not yet taken: who lost the guest is silent
        Add(2);

        _outbox.Drop();
        Add(3);
        _outbox.Release(9);
        _outbox.Pass();

        Assert.Empty(Take());
    }

    [Fact]
    public void End_of_protection_lets_everything_out_and_what_comes_passes()
    {
        _outbox.BeginEpoch(1);
        Add(1);
        _outbox.BeginEpoch(2);
        Add(2);

        _outbox.Pass();
        Add(3);

        Assert.Equal([1, 2, 3], Take());
    }

    [Fact]
    public void Rule_23_full_outbox_refuses_and_says_when_half_of_it_is_free()
    {
        _outbox.BeginEpoch(1);
        byte[] frame = new byte[1016]; // 1 KiB with its record
        int count = 0;
        while (_outbox.TryAdd(0, frame))
        {
            count++;
        }

        Assert.Equal(Bytes / 1024, count);
        _outbox.BeginEpoch(2);
        _outbox.Release(1);
        byte[] target = new byte[2048];
        for (int i = 0; i < (count / 2) - 1; i++)
        {
            Assert.True(_outbox.TryTake(target, out _, out _));
        }

        Assert.Equal(0, _rooms);
        Assert.False(_outbox.TryAdd(0, frame)); // not frame by frame
        Assert.True(_outbox.TryTake(target, out _, out _));
        Assert.Equal(1, _rooms);
        Assert.True(_outbox.TryAdd(0, frame));
        _outbox.Drop();
        Assert.Equal(1, _rooms); // nobody was refused since
    }

    [Fact]
    public void Drop_gives_room_to_who_was_refused()
    {
        _outbox.BeginEpoch(1);
        while (_outbox.TryAdd(0, new byte[1000]))
        {
            // Until it is full.
        }

        _outbox.Drop();

        Assert.Equal(1, _rooms);
        Assert.True(_outbox.TryAdd(0, new byte[1000]));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Frames_of_all_lengths_come_out_as_they_went_in(int seed)
    {
        var random = new Random(seed);
        var expected = new Queue<(int Queue, byte[] Frame)>();
        byte[] target = new byte[70_000];
        for (int i = 0; i < 20_000; i++)
        {
            byte[] frame = new byte[random.Next(random.Next(20) == 0 ? 60_000 : 1600)];
            random.NextBytes(frame);
            if (random.Next(2) == 0 && _outbox.TryAdd(i & 15, frame))
            {
                expected.Enqueue((i & 15, frame));
            }
            else if (_outbox.TryTake(target, out int queue, out int length))
            {
                (int Queue, byte[] Frame) first = expected.Dequeue();
                Assert.Equal(first.Queue, queue);
                Assert.True(first.Frame.AsSpan().SequenceEqual(target.AsSpan(0, length)));
            }
        }

        Assert.InRange(_outbox.KeptBytes, expected.Sum(entry => entry.Frame.Length), Bytes);
    }

    private void Add(params int[] numbers)
        => Array.ForEach(numbers, number => Assert.True(_outbox.TryAdd(number, [(byte)number])));

    private int[] Take()
    {
        List<int> taken = [];
        byte[] target = new byte[16];
        while (_outbox.TryTake(target, out int queue, out int length))
        {
            Assert.Equal(1, length);
            Assert.Equal(queue, target[0]);
            taken.Add(queue);
        }

        return [.. taken];
    }
}
