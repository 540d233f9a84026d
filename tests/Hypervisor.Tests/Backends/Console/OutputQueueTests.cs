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
    private int _takenBytes; // written last by the queue's thread: whoever reads it may look at the list

    [Fact]
    public void Everything_arrives_in_order_across_the_end_of_the_ring()
    {
        byte[] sent = [.. Enumerable.Range(0, (3 * OutputQueue.CapacityBytes) + 7).Select(i => (byte)(i * 31 / 7))];
        using (var queue = new OutputQueue("test", Take))
        {
            int written = 0;
            foreach (byte[] part in sent.Chunk(77_777))
            {
                queue.Write(part);
                written += part.Length;

                // Never a full queue: on a busy host its patience with the sink's thread could end.
                SpinWait.SpinUntil(() => Volatile.Read(ref _takenBytes) > written - (OutputQueue.CapacityBytes / 2));
            }

            SpinWait.SpinUntil(() => Volatile.Read(ref _takenBytes) == sent.Length);
        }

        Assert.True(_taken.ToArray().AsSpan().SequenceEqual(sent));
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
        SpinWait.SpinUntil(() => Volatile.Read(ref _takenBytes) == 3);
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
        Volatile.Write(ref _takenBytes, _taken.Count);
        return true;
    }
}
