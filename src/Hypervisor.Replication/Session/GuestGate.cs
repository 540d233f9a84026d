using Hypervisor.Core.State;

namespace Hypervisor.Replication.Session;

/// <summary>Whether the guest may run, from all who have a say. Owned by the capture thread.</summary>
/// <remarks>
/// A machine that does not run yet is handed over paused: its first <see cref="IProtectedMachine.Resume"/> is its
/// start.
/// </remarks>
internal sealed class GuestGate(IProtectedMachine machine, bool isRunning)
{
    private bool _isStarted = isRunning;
    private bool _isHeld;
    private bool _isStopped;
    private bool _isRunning = isRunning;

    /// <summary>The witness lets the guest run here.</summary>
    public void Start()
    {
        _isStarted = true;
        Settle();
    }

    /// <summary>Stops the guest for a while, or lets it go on.</summary>
    public void Hold(bool isHeld)
    {
        _isHeld = isHeld;
        Settle();
    }

    /// <summary>The guest never runs here again.</summary>
    public void Stop()
    {
        _isStopped = true;
        Settle();
    }

    /// <summary>Pauses for a moment, if it runs; <see cref="Settle"/> ends that.</summary>
    public void Pause()
    {
        if (_isRunning)
        {
            _isRunning = false;
            machine.Pause();
        }
    }

    /// <summary>Lets the guest run, or stand, as it should.</summary>
    public void Settle()
    {
        bool shouldRun = _isStarted && !_isHeld && !_isStopped;
        if (shouldRun && !_isRunning)
        {
            _isRunning = true;
            machine.Resume();
        }
        else if (!shouldRun)
        {
            Pause();
        }
    }
}
