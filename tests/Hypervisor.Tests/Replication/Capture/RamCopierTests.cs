using System;
using System.Collections.Generic;
using System.Threading;
using Hypervisor.Core.Memory;
using Hypervisor.Replication.Capture;
using Hypervisor.Replication.Link;
using Xunit;

namespace Hypervisor.Tests.Replication.Capture;

public sealed class RamCopierTests : IDisposable
{
    private const int Pages = 1500; // more than the staging area has slots
    private readonly GuestRam _ram = new(Pages * 4096);
    private readonly GuestRam _standby = new(Pages * 4096);
    private readonly RamDigest _digest = new(Pages);
    private readonly ChunkPool _pool = new(countMax: 4, chunkBytes: 32 << 10);
    private readonly RamReplica _replica = new(Pages);
    private readonly RamCopier _copier;

    public RamCopierTests() => _copier = new RamCopier(_ram, _replica, _pool, chunk =>
    {
        Assert.True(RamDelta.TryCheck(chunk.Content.Span, Pages, out string? refusal), refusal);
        RamDelta.Apply(chunk.Content.Span, _standby, _digest);
        chunk.Dispose();
    });

    public void Dispose()
    {
        _copier.Dispose();
        _replica.Dispose();
        _ram.Dispose();
        _standby.Dispose();
    }

    [Fact]
    public void Copier_that_ends_late_leaves_its_successor_in_place()
    {
        var late = new RamCopier(_ram, _replica, _pool, chunk => chunk.Dispose());
        using var successor = new RamCopier(_ram, _replica, _pool, chunk => chunk.Dispose());
        Store(7, 1);
        successor.Cut();

        late.Dispose();

        Store(7, 2); // a copy-pending page without a copier would end the process
        successor.Abort();
    }

    [Fact]
    public void Rule_35_pages_that_changed_after_a_stamp_are_sent_fresh_and_no_others()
    {
        Store(7, 1);
        Store(8, 1);
        Store(9, 1);
        Store(10, 1);
        _copier.BeginRound();
        _copier.StampListed(10);
        Assert.True(_copier.CopyChanged(null, static _ => { }));
        Store(8, 2);
        _copier.Cut();
        _copier.StampListed(11);
        Assert.True(_copier.CopyCut()); // the standby never gets to commit it
        Store(9, 3);
        Store(10, 0);
        _copier.BeginRound();
        _copier.StampListed(12);
        _standby.WritableBytes(7 * 4096, 4096).Fill(0x77); // marks of what is sent
        _standby.WritableBytes(8 * 4096, 4096).Fill(0x77);
        _standby.WritableBytes(9 * 4096, 4096).Fill(0x77);

        Assert.Equal(3, _copier.CountChanged(10));
        Assert.True(_copier.CopyChanged(10, static _ => { }));

        Assert.Equal(0x77, _standby.ReadOnlyBytes(7 * 4096, 1)[0]);
        Assert.Equal(_ram.ReadOnlyBytes(8 * 4096, 4096), _standby.ReadOnlyBytes(8 * 4096, 4096));
        Assert.Equal(_ram.ReadOnlyBytes(9 * 4096, 4096), _standby.ReadOnlyBytes(9 * 4096, 4096));
        Assert.Equal(0, _standby.ReadOnlyBytes(10 * 4096, 1)[0]);
        Assert.Equal(0, _replica.Shadow.Page(10)[0]); // and the next delta is one against zeroes
    }

    [Fact]
    public void Page_stored_to_before_its_copy_leaves_with_the_content_of_the_cut()
    {
        Store(7, 1);
        Store(8, 1);
        Assert.Equal(2, _copier.Cut());

        Store(8, 2); // meets the pending copy
        Assert.True(_copier.CopyCut());

        Assert.Equal(1, _standby.ReadOnlyBytes(8 * 4096, 1)[0]);
        Assert.Equal((byte)PageState.Dirty, _ram.StateBytes[8]);
        Assert.Equal((byte)PageState.Clean, _ram.StateBytes[7]);
        Assert.Equal(1, _copier.Cut());
        Assert.True(_copier.CopyCut());
        Assert.Equal(2, _standby.ReadOnlyBytes(8 * 4096, 1)[0]);
    }

    [Fact]
    public void Pages_that_the_guest_gave_back_are_zero_on_both_sides_and_cost_memory_on_neither()
    {
        _ram.WritableBytes(100 * 4096, 64 * 4096).Fill(7);
        Assert.True(_copier.CopyChanged(null, static _ => { }));
        Assert.Equal(64, _copier.BeginRound());
        Assert.True(_copier.CopyRound());
        long held = _copier.Writer.Bytes;

        _ram.Discard(100 * 4096, 64 * 4096);
        Assert.Equal(64, _copier.Cut());
        _ram.WritableBytes(120 * 4096, 1)[0] = 9; // meets the pending copy of a page without memory
        Assert.True(_copier.CopyCut());

        Assert.True(PageKernels.IsZero(_standby.ReadOnlyBytes(120 * 4096, 4096)));
        Assert.False(_standby.HasMemory(121 * 4096, 43 * 4096) || _standby.HasMemory(100 * 4096, 20 * 4096));
        Assert.False(_ram.HasMemory(121 * 4096, 43 * 4096) || _ram.HasMemory(100 * 4096, 20 * 4096));
        Assert.False(_ram.HasMemory(0, 100 * 4096) || _standby.HasMemory(164 * 4096, (Pages - 164) * 4096L));
        Assert.InRange(_copier.Writer.Bytes - held, 1, 64);
    }

    [Fact]
    public void Full_copy_and_rounds_reach_the_state_of_the_cut()
    {
        _standby.WritableBytes(0, Pages * 4096).Fill(0xEE);
        Store(1, 5);
        Assert.Equal(1, _copier.BeginRound());
        Assert.True(_copier.CopyChanged(null, static _ => { }));
        Store(2, 6);
        Assert.Equal(1, _copier.BeginRound());
        Assert.True(_copier.CopyRound());
        Store(3, 7);
        Assert.Equal(1, _copier.Cut());
        Assert.True(_copier.CopyCut());

        Assert.True(_ram.ReadOnlyBytes(0, Pages * 4096).SequenceEqual(_standby.ReadOnlyBytes(0, Pages * 4096)));
    }

    [Fact]
    public void Aborted_copy_holds_nobody_back()
    {
        for (int page = 0; page < Pages; page++)
        {
            Store(page, 1);
        }

        Assert.Equal(Pages, _copier.Cut());
        _pool.Break();
        Assert.False(_copier.CopyCut());
        var storing = new Thread(() =>
        {
            for (int page = 0; page < Pages; page++) // more pages than the staging area has slots
            {
                Store(page, 2);
            }
        })
        {
            IsBackground = true, // held back for ever, it must not keep the process
        };
        storing.Start();

        _copier.Abort();
        storing.Join();

        Assert.Equal(-1, _ram.StateBytes.IndexOfAnyExcept((byte)PageState.Dirty));
    }

    [Fact]
    public void Storing_threads_never_tear_or_lose_a_page_of_a_cut()
    {
        const int Threads = 3, Cuts = 60;
        byte[] cut = new byte[Pages * 4096];
        using var gate = new StoreGate(Threads, (thread, random) =>
        {
            // Threads share pages, and lines of them; a run may cross into the next page.
            int at = random.Next((Pages * 4096) - 600);
            int length = random.Next(1, 600);
            byte value = (byte)random.Next(5);
            _ram.WritableBytes(at, length).Fill(value);
        });

        for (int round = 0; round < Cuts; round++)
        {
            gate.Close();
            _copier.Cut();
            _ram.ReadOnlyBytes(0, cut.Length).CopyTo(cut);
            gate.Open();

            Assert.True(_copier.CopyCut());
            Assert.True(_standby.ReadOnlyBytes(0, cut.Length).SequenceEqual(cut), $"cut {round} differs");
        }
    }

    private void Store(int page, byte value) => _ram.WritableBytes(page * 4096, 1)[0] = value;

    /// <summary>Threads that store in a loop, and stop between two stores when the gate is closed.</summary>
    /// <remarks>
    /// The system's semaphores do not spin, as <see cref="Barrier"/> does before it sleeps: on a busy host every yield
    /// of a spin gives the processor away for a whole round, and hundreds of them looked like a test that hangs.
    /// </remarks>
    private sealed class StoreGate : IDisposable
    {
        private readonly List<Thread> _threads = [];
        private readonly Semaphore _parked = new(0, int.MaxValue);
        private readonly Semaphore _go = new(0, int.MaxValue);
        private volatile bool _isClosing;
        private volatile bool _isOver;

        public StoreGate(int threads, Action<int, Random> store)
        {
            for (int i = 0; i < threads; i++)
            {
                int number = i;
                var thread = new Thread(() => Run(number, store)) { IsBackground = true };
                _threads.Add(thread);
                thread.Start();
            }
        }

        /// <summary>Returns when every thread is parked: one permit of each opening is one parking.</summary>
        public void Close()
        {
            _isClosing = true;
            _threads.ForEach(_ => _parked.WaitOne());
            _isClosing = false;
        }

        public void Open() => _go.Release(_threads.Count);

        public void Dispose()
        {
            _isOver = true; // the gate is open: nobody waits at it
            _threads.ForEach(thread => thread.Join());
            _parked.Dispose();
            _go.Dispose();
        }

        private void Run(int number, Action<int, Random> store)
        {
            var random = new Random(number);
            while (!_isOver)
            {
                store(number, random);
                if (_isClosing)
                {
                    _ = _parked.Release();
                    _ = _go.WaitOne();
                }
            }
        }
    }
}
