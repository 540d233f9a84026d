using System.Collections.Generic;
using Hypervisor.Core;

namespace Hypervisor.Backends;

/// <summary>What an outbox does with output that comes now.</summary>
internal enum OutboxMode
{
    /// <summary>It leaves at once: the guest is not protected.</summary>
    Passing,

    /// <summary>It waits for the release of its epoch.</summary>
    Holding,

    /// <summary>It is thrown away, for good.</summary>
    Dropping,
}

/// <summary>Where in a sequence of output each epoch ends, and which one is open. No thread safety.</summary>
/// <remarks>A place is a count of units (bytes, frames) that came before, in the sequence's whole life.</remarks>
internal sealed class EpochMarks
{
    private readonly Queue<(ulong Epoch, long End)> _closed = new();
    private ulong _open;
    private bool _hasHeld; // in the open epoch

    /// <summary>What happens to output now.</summary>
    public OutboxMode Mode { get; private set; }

    /// <summary>Output from <paramref name="end"/> on is of another epoch, the one after the last.</summary>
    public void Begin(ulong epoch, long end)
    {
        if (Mode == OutboxMode.Holding)
        {
            Check.That(epoch == _open + 1);
            _closed.Enqueue((_open, end));
        }
        else if (Mode == OutboxMode.Passing)
        {
            Mode = OutboxMode.Holding;
        }

        _open = epoch;
        _hasHeld = false;
    }

    /// <summary>Notes that output is held now. True: the first in <paramref name="epoch"/>, the open one.</summary>
    public bool Hold(out ulong epoch)
    {
        Check.That(Mode == OutboxMode.Holding);
        epoch = _open;
        bool isFirst = !_hasHeld;
        _hasHeld = true;
        return isFirst;
    }

    /// <summary>Finds the part of a closed epoch that was not released.</summary>
    /// <param name="epoch">The epoch.</param>
    /// <param name="start">In: where the first epoch that was not released starts. Out: where this one does, or the
    /// open one if there is no such epoch.</param>
    /// <param name="end">Where it ends.</param>
    public bool TryFind(ulong epoch, ref long start, out long end)
    {
        foreach ((ulong closed, long itsEnd) in _closed)
        {
            if (closed == epoch)
            {
                end = itsEnd;
                return true;
            }

            start = itsEnd;
        }

        end = start;
        return false;
    }

    /// <summary>Forgets all epochs up to and including this one. False: there is none that was not released.</summary>
    /// <param name="epoch">The epoch.</param>
    /// <param name="end">Where the last of them ends.</param>
    public bool TryRelease(ulong epoch, out long end)
    {
        end = 0;
        bool isAny = false;
        while (_closed.TryPeek(out (ulong Epoch, long End) closed) && closed.Epoch <= epoch)
        {
            _ = _closed.Dequeue();
            end = closed.End;
            isAny = true;
        }

        return isAny;
    }

    /// <summary>Forgets all epochs and begins to pass or to drop.</summary>
    public void End(OutboxMode mode)
    {
        Check.That(mode != OutboxMode.Holding);
        _closed.Clear();
        Mode = mode;
    }
}
