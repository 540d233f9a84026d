using System;

namespace Hypervisor.Simulation;

/// <summary>A process on a host of its own: with its own clock, and able to hang and to die.</summary>
internal abstract class SimNode(World world, string name)
{
    // Rates differ by up to 4 %; starts by much.
    private readonly long _offset = world.Prng.Next(0, 1 << 30);
    private readonly double _rate = 1 + ((world.Prng.Next(0, 81) - 40) / 1000.0);

    private long _jumpedNanos;
    private long _hungUntil;
    private int _life;
    private long _armed = long.MaxValue;

    public string Name => name;

    /// <summary>Whether the process runs (perhaps hung).</summary>
    public bool IsUp { get; private set; }

    /// <summary>Counts deaths: what was asked in one life is not answered in the next.</summary>
    public int Life => _life;

    public bool IsHung => world.Now < _hungUntil;

    protected World World => world;

    /// <summary>The node's monotonic clock.</summary>
    protected long Clock => _offset + _jumpedNanos + (long)(world.Now * _rate);

    /// <summary>When the core wants its next tick, on the node's clock.</summary>
    protected abstract long NextDeadline { get; }

    /// <summary>Does something later on this node; not if it died, later if it hangs.</summary>
    public void Post(long delayNanos, Action action)
    {
        int life = _life;
        world.At(delayNanos, () => Run(life, action));
    }

    public void Hang(long nanos)
    {
        _hungUntil = Math.Max(_hungUntil, world.Now + nanos);
        world.Trace(name, $"hangs for {nanos / 1e6:F1} ms");
    }

    /// <summary>The clock says that time has passed which has not.</summary>
    public void JumpClock(long nanos)
    {
        _jumpedNanos += nanos;
        world.Trace(name, $"clock jumps by {nanos / 1e6:F1} ms");
        if (IsUp)
        {
            Post(0, Tick);
        }
    }

    protected void BeUp()
    {
        IsUp = true;
        _armed = long.MaxValue;
    }

    protected void BeDown()
    {
        IsUp = false;
        _life++;
        _hungUntil = 0;
        _armed = long.MaxValue;
    }

    protected abstract void Tick();

    private void Run(int life, Action action)
    {
        if (life != _life)
        {
            return;
        }

        if (IsHung)
        {
            world.At(_hungUntil - world.Now, () => Run(life, action));
            return;
        }

        action();
        if (life == _life && IsUp)
        {
            Arm();
        }
    }

    private void Arm()
    {
        long deadline = NextDeadline;
        if (deadline == long.MaxValue || deadline >= _armed)
        {
            return;
        }

        _armed = deadline;
        long delay = Math.Max(0, (long)((deadline - Clock) / _rate) + 1);
        Post(delay, () =>
        {
            _armed = long.MaxValue;
            Tick();
        });
    }
}
