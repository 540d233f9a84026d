using Hypervisor.Core.State;

namespace Hypervisor.Core.Time;

/// <summary>Guest time: runs with host time while the machine runs, stands still while it is paused.</summary>
/// <remarks>
/// Every clock that the guest can see (TSC, APIC timer, PIT, HPET, RTC, PM timer) derives from it, so that a takeover
/// moves them together and none goes backwards. Changed only with the machine paused; read from any thread.
/// </remarks>
public sealed class GuestClock(IHostClock host) : ICheckpointed
{
    // While running: guest time = host time + offset. While paused: guest time = _nanos.
    private long _nanos;
    private long _offset;
    private bool _isRunning;

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x4B4C_4347, Instance: 0, Version: 1); // "GCLK"

    /// <summary>Guest nanoseconds since power-on.</summary>
    public long NowNanos => _isRunning ? host.NowNanos + _offset : _nanos;

    /// <summary>Whether guest time moves.</summary>
    public bool IsRunning => _isRunning;

    /// <summary>Lets guest time run on from where it stands.</summary>
    public void Start()
    {
        Check.That(!_isRunning);
        _offset = _nanos - host.NowNanos;
        _isRunning = true;
    }

    /// <summary>Freezes guest time.</summary>
    public void Stop()
    {
        Check.That(_isRunning);
        _nanos = NowNanos;
        _isRunning = false;
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        Check.That(!_isRunning);
        state.I64(ref _nanos);
    }
}
