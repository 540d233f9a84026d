using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Hypervisor.Backends.Console;
using Xunit;

namespace Hypervisor.Tests.Backends.Console;

public sealed class OutputQueueTests
{
    private readonly List<byte> _taken = [];

    [Fact]
    public void Everything_arrives_in_order_across_the_end_of_the_ring()
    {
        byte[] sent = [.. Enumerable.Range(0, (3 * OutputQueue.CapacityBytes) + 7).Select(i => (byte)(i * 31 / 7))];
        using (var queue = new OutputQueue("test", Take))
        {
            foreach (byte[] part in sent.Chunk(77_777))
            {
                queue.Write(part);
            }
        }

        Assert.Equal(sent, _taken);
    }

    [Fact]
    public void Write_returns_while_the_sink_still_waits()
    {
        using var gate = new ManualResetEventSlim(false);
        using var queue = new OutputQueue("test", bytes =>
        {
            gate.Wait();
            return Take(bytes);
        });

        queue.Write("abc"u8);
        Assert.Empty(_taken);

        gate.Set();
        queue.Dispose();
        Assert.Equal("abc"u8.ToArray(), _taken);
    }

    [Fact]
    public void Sink_that_is_gone_costs_the_bytes_and_nothing_else()
    {
        using var queue = new OutputQueue("test", _ => false);

        queue.Write(new byte[2 * OutputQueue.CapacityBytes]);
        queue.Dispose();
        queue.Write("more"u8);

        Assert.Equal((2 * OutputQueue.CapacityBytes) + 4, queue.DroppedBytes);
    }

    private bool Take(ReadOnlySpan<byte> bytes)
    {
        _taken.AddRange(bytes);
        return true;
    }
}
