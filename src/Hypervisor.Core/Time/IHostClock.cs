namespace Hypervisor.Core.Time;

/// <summary>Monotonic host time. The only way to it, so that a run can be replayed with a simulated one.</summary>
public interface IHostClock
{
    /// <summary>Nanoseconds since an arbitrary start; never decreases.</summary>
    long NowNanos { get; }
}
