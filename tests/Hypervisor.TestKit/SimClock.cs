using Hypervisor.Core;
using Hypervisor.Core.Time;

namespace Hypervisor.TestKit;

/// <summary>Host time that moves only when a test says so.</summary>
public sealed class SimClock : IHostClock
{
    /// <inheritdoc/>
    public long NowNanos { get; private set; }

    /// <summary>Moves time forward.</summary>
    public void Advance(long nanos)
    {
        Check.That(nanos >= 0);
        NowNanos += nanos;
    }
}
