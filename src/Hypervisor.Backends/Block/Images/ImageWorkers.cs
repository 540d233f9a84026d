using System;
using System.Threading;
using Hypervisor.Core;

namespace Hypervisor.Backends.Block.Images;

/// <summary>
/// A few threads that carry out an image's requests with blocking calls, behind an <see cref="OverlapGate"/>.
/// </summary>
/// <remarks>
/// Blocking calls on own threads, because the host has no asynchronous fdatasync and fallocate that is worth it, and
/// because the order of things stays visible. Who went idle last is woken first: its stack is warm. They wait with
/// events: a slim semaphore yields the processor dozens of times before it sleeps, and beside a guest that is felt.
/// </remarks>
internal sealed class ImageWorkers : IDisposable
{
    /// <summary>Threads per image: enough to keep a disk's own queue busy.</summary>
    public const int ThreadCount = 4;

    /// <summary>
    /// Requests inside before a submitter has to wait. Above what one virtio-blk device can have in flight.
    /// </summary>
    public const int RequestsMax = 2048;

    private readonly Func<BlockRequest, int, BlockStatus> _perform;
    private readonly Thread[] _threads = new Thread[ThreadCount];
    private readonly AutoResetEvent[] _wakes = new AutoResetEvent[ThreadCount];
    private readonly Lock _lock = new(); // protects what follows, but _room; nothing is called out under it
    private readonly OverlapGate _gate;
    private readonly int[] _idle = new int[ThreadCount]; // workers that wait, who waits longest first
    private int _idleCount;
    private readonly SemaphoreSlim _room = new(RequestsMax);
    private bool _isStopping;

    /// <summary>Starts the threads.</summary>
    /// <param name="name">For the thread names.</param>
    /// <param name="granuleBytes">Requests that touch the same granule count as overlapping.</param>
    /// <param name="perform">Does one request; gets the worker's index, below <see cref="ThreadCount"/>.</param>
    public ImageWorkers(string name, long granuleBytes, Func<BlockRequest, int, BlockStatus> perform)
    {
        _perform = perform;
        _gate = new OverlapGate(granuleBytes);
        for (int i = 0; i < ThreadCount; i++)
        {
            int index = i;
            _wakes[i] = new AutoResetEvent(false);
            _threads[i] = new Thread(() => Run(index)) { IsBackground = true, Name = $"image {name} {index}" };
            _threads[i].Start();
        }
    }

    /// <summary>Queues a request whose range is inside the image. Waits only when the queue is full.</summary>
    public void Submit(BlockRequest request)
    {
        // A worker that submits from a completion may not wait for room that only workers make.
        bool isWorker = Array.IndexOf(_threads, Thread.CurrentThread) >= 0;
        if (!isWorker)
        {
            _room.Wait();
        }
        else
        {
            _ = _room.Wait(0);
        }

        lock (_lock)
        {
            Check.That(!_isStopping);
            if (_gate.Add(request))
            {
                WakeOne();
            }
        }
    }

    /// <summary>Finishes what was submitted, then ends the threads.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_isStopping)
            {
                return;
            }

            _isStopping = true;
            WakeAll();
        }

        foreach (Thread thread in _threads)
        {
            thread.Join();
        }

        Array.ForEach(_wakes, static wake => wake.Dispose());
        _room.Dispose();
    }

    private void Run(int index)
    {
        while (true)
        {
            OverlapGate.Entry? entry;
            lock (_lock)
            {
                if (!_gate.TryTake(out entry))
                {
                    if (_isStopping && _gate.Count == 0)
                    {
                        return;
                    }

                    _idle[_idleCount++] = index;
                }
            }

            if (entry is not null)
            {
                Finish(entry, index);
            }
            else
            {
                _ = _wakes[index].WaitOne();
            }
        }
    }

    private void Finish(OverlapGate.Entry entry, int index)
    {
        BlockRequest? request = entry.Request;
        Check.That(request is not null);
        BlockStatus status = _perform(request, index);

        lock (_lock)
        {
            for (int readied = _gate.Remove(entry); readied > 0; readied--)
            {
                WakeOne(); // also for the one that this thread could take: it completes a request first
            }

            if (_isStopping && _gate.Count == 0)
            {
                WakeAll();
            }
        }

        if (_room.CurrentCount < RequestsMax)
        {
            _room.Release();
        }

        request.Complete(status);
    }

    // Lock held. With nobody idle, whoever is done looks for more by itself.
    private void WakeOne()
    {
        if (_idleCount > 0)
        {
            _ = _wakes[_idle[--_idleCount]].Set();
        }
    }

    private void WakeAll()
    {
        while (_idleCount > 0)
        {
            WakeOne();
        }
    }
}
