using System;
using System.Collections.Generic;
using System.Text;
using Hypervisor.Backends.Console;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Backends.Console;

public sealed class OutboxStreamTests : IDisposable
{
    private readonly ToyConsole _sink = new();
    private readonly OutboxStream _outbox;
    private int _overflows;

    public OutboxStreamTests() => _outbox = new OutboxStream(_sink, 200_000, () => _overflows++);

    public void Dispose()
    {
        _outbox.Dispose();
        _sink.Dispose();
    }

    [Fact]
    public void Unprotected_output_passes_at_once()
    {
        Write("free");

        Assert.Equal("free", _sink.Text);
    }

    [Fact]
    public void First_output_of_each_epoch_is_told()
    {
        var told = new List<ulong>();
        _outbox.OnHeld = told.Add;

        Write("free");
        _outbox.BeginEpoch(1);
        Write("");
        Write("one");
        Write("more");
        _outbox.BeginEpoch(2);
        _outbox.BeginEpoch(3);
        Write("three");
        _outbox.Pass();
        Write("free");

        Assert.Equal([1, 3], told);
    }

    [Fact] // rules 1 and 2 as well
    public void Rule_03_output_leaves_by_whole_epochs_in_order_and_not_before_its_release()
    {
        _outbox.BeginEpoch(1);
        Write("one");
        _outbox.BeginEpoch(2);
        Write("two");
        Assert.Equal("", _sink.Text);

        _outbox.Release(1);
        Assert.Equal("one", _sink.Text);
        _outbox.Release(2); // still open: the cut of 2 was not taken
        Assert.Equal("one", _sink.Text);

        _outbox.BeginEpoch(3);
        _outbox.Release(2);
        Assert.Equal("onetwo", _sink.Text);
    }

    [Fact]
    public void Bytes_of_a_closed_epoch_can_be_read_with_their_offset()
    {
        Write("free");
        _outbox.BeginEpoch(1);
        Write("one");
        _outbox.BeginEpoch(2);
        Write("two");
        _outbox.BeginEpoch(3);

        Assert.Equal(3, _outbox.ClosedBytes(2, out long offset));
        Assert.Equal(7, offset);
        Assert.Equal("two", Peek(7, 3));
        Assert.Equal(0, _outbox.ClosedBytes(3, out _));

        _outbox.Release(2);
        Assert.False(_outbox.TryPeek(7, new byte[3]));
    }

    [Fact]
    public void Rule_03_dropped_output_never_leaves_nor_does_anything_after_it()
    {
        _outbox.BeginEpoch(1);
        Write("lost");
        _outbox.Drop();
        Write("more");
        _outbox.BeginEpoch(2);
        _outbox.Release(9);

        Assert.Equal("", _sink.Text);
        Assert.Equal(0, _outbox.HeldBytes);
    }

    [Fact]
    public void Passing_again_lets_everything_out_and_holding_can_begin_anew()
    {
        _outbox.BeginEpoch(1);
        Write("held");
        _outbox.Pass();
        Write("free");
        Assert.Equal("heldfree", _sink.Text);

        _outbox.BeginEpoch(1); // of another incarnation
        Write("next");
        _outbox.BeginEpoch(2);
        Assert.Equal(4, _outbox.ClosedBytes(1, out long offset));
        Assert.Equal(8, offset);
    }

    [Fact]
    public void Rule_23_full_outbox_says_so_once_and_keeps_what_it_has()
    {
        _outbox.BeginEpoch(1);
        Write(new string('a', 199_999));
        Write("bb");
        Write("cc");
        _outbox.BeginEpoch(2);
        _outbox.Release(1);

        Assert.Equal(1, _overflows);
        Assert.Equal(199_999, _sink.Text.Length);
    }

    [Fact]
    public void Ring_keeps_order_while_it_wraps_and_grows()
    {
        var random = new Random(4);
        var expected = new StringBuilder();
        _outbox.BeginEpoch(1);
        for (ulong epoch = 1; epoch < 300; epoch++)
        {
            string text = new((char)('a' + random.Next(26)), random.Next(1500));
            expected.Append(text);
            Write(text);
            _outbox.BeginEpoch(epoch + 1);
            if (random.Next(40) == 0)
            {
                _outbox.Release(epoch);
            }
        }

        _outbox.Release(299);
        Assert.Equal(0, _overflows);
        Assert.Equal(expected.ToString(), _sink.Text);
    }

    private void Write(string text) => _outbox.Write(Encoding.ASCII.GetBytes(text));

    private string Peek(long offset, int count)
    {
        byte[] bytes = new byte[count];
        Assert.True(_outbox.TryPeek(offset, bytes));
        return Encoding.ASCII.GetString(bytes);
    }
}
