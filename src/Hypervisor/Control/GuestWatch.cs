using System;
using System.Threading;
using Hypervisor.CommandLine;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Epochs;
using Hypervisor.Sessions;

namespace Hypervisor.Control;

/// <summary>
/// Where a process shows its guest to the outside: the control socket and the metrics, if they are asked for. Made
/// before the guest and there until after it, so that what cannot be opened is known before anything has begun.
/// </summary>
internal sealed class GuestWatch : IDisposable
{
    private readonly string _guestName;
    private readonly HostClock _clock = new();
    private readonly long _startNanos;
    private readonly ControlServer? _control;
    private readonly MetricsServer? _metrics;
    private readonly Lock _lock = new(); // protects the field below while it is used; a guest may be disposed after
    private IWatchedGuest? _guest;
    private GuestStatus _without;

    /// <summary>Listens where it is asked to.</summary>
    /// <param name="guestName">Name of the machine.</param>
    /// <param name="role">What this process is about to be.</param>
    /// <param name="events">Where the guest's events come from.</param>
    /// <param name="controlPath">Path of the control socket; null: none.</param>
    /// <param name="metrics">Address of the metrics; null: none.</param>
    /// <exception cref="FailureException">A socket cannot be had.</exception>
    public GuestWatch(string guestName, GuestRole role, EventFeed events, string? controlPath, Endpoint? metrics)
    {
        _guestName = guestName;
        _startNanos = _clock.NowNanos;
        _without = new GuestStatus { Role = role, State = GuestStates.Starting };
        Events = events;
        _metrics = metrics is { } where ? new MetricsServer(where, () => MetricsText.Write(Status()), _clock) : null;
        try
        {
            _control = controlPath is null ? null : new ControlServer(controlPath, this);
        }
        catch (FailureException)
        {
            _metrics?.Dispose();
            throw;
        }
    }

    /// <summary>What the guest tells.</summary>
    public EventFeed Events { get; }

    /// <summary>Port of the metrics; 0 without.</summary>
    public int MetricsPort => _metrics?.Port ?? 0;

    /// <summary>Tells those who listen, for a session that reports to nobody else.</summary>
    public void Tell(StatusKind kind, string message)
        => Events.Publish(new StatusEvent(kind, _clock.NowNanos) { Message = message });

    /// <summary>From now on this is the guest.</summary>
    /// <returns>To look away: once it is disposed nobody looks at that guest. Its last status stays.</returns>
    public IDisposable Show(IWatchedGuest guest)
    {
        lock (_lock)
        {
            _guest = guest;
        }

        return new Showing(this, guest);
    }

    /// <summary>What there is to see now. Any thread.</summary>
    public GuestStatus Status()
    {
        lock (_lock)
        {
            return (_guest?.Status() ?? _without) with
            {
                Guest = _guestName,
                LastEvent = Events.LastLine,
                UptimeMicros = (_clock.NowNanos - _startNanos) / 1000,
            };
        }
    }

    /// <summary>Asks for the end.</summary>
    /// <returns>Null when it was asked for; else why not.</returns>
    public string? Stop(string reason)
    {
        lock (_lock)
        {
            if (_guest is null)
            {
                return $"stop: the guest is {_without.State}; allowed: one that is there";
            }

            _guest.Stop(reason);
            return null;
        }
    }

    /// <summary>Asks for a takeover.</summary>
    /// <returns>Null when it was asked for; else why not.</returns>
    public string? TakeOver()
    {
        lock (_lock)
        {
            return _guest is null
                ? $"takeover: the guest is {_without.State}; allowed: a pair that is protected"
                : _guest.TakeOver();
        }
    }

    /// <summary>Asks for a scrub.</summary>
    /// <returns>Null when it was asked for; else why not.</returns>
    public string? Scrub(long bytesPerSecond)
    {
        lock (_lock)
        {
            return _guest is null
                ? $"scrub: the guest is {_without.State}; allowed: a primary that is protected"
                : _guest.Scrub(bytesPerSecond);
        }
    }

    /// <summary>Begins a drill.</summary>
    /// <returns>Null when it has begun; else why not.</returns>
    public string? StartDrill(DrillTerms terms, out StandbyDrill? drill)
    {
        lock (_lock)
        {
            drill = null;
            return _guest is null
                ? $"drill: the guest is {_without.State}; allowed: a standby that is protecting"
                : _guest.StartDrill(terms, out drill);
        }
    }

    /// <summary>Asks for a balloon of another size.</summary>
    /// <param name="bytes">What the guest may keep.</param>
    /// <returns>Null when it was asked for; else why not.</returns>
    public string? SetMemory(long bytes)
    {
        lock (_lock)
        {
            return _guest is null
                ? $"balloon: the guest is {_without.State}; allowed: one that runs"
                : _guest.SetMemory(bytes);
        }
    }

    /// <summary>Asks for another size of a disk.</summary>
    /// <returns>Null when it was asked for; else why not.</returns>
    public string? Resize(string disk, long bytes, bool shrinks)
    {
        lock (_lock)
        {
            return _guest is null
                ? $"resize: the guest is {_without.State}; allowed: one that runs"
                : _guest.Resize(disk, bytes, shrinks);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Events.Close();
        _control?.Dispose();
        _metrics?.Dispose();
    }

    private void Hide(IWatchedGuest guest)
    {
        lock (_lock)
        {
            if (_guest == guest)
            {
                GuestStatus last = guest.Status();
                bool isElsewhere = last.State == GuestStates.NameOf(PrimaryState.HandedOver);
                _without = isElsewhere ? last : last with { State = GuestStates.Ended };
                _guest = null;
            }
        }
    }

    private sealed class Showing(GuestWatch watch, IWatchedGuest guest) : IDisposable
    {
        public void Dispose() => watch.Hide(guest);
    }
}
