using System;

namespace Hypervisor.Simulation;

/// <summary>
/// Ends an operation of the standby's worker in its middle, after so many steps at its disks and journal.
/// </summary>
internal sealed class CrashPoint
{
    private int _stepsLeft = -1;

    public void Set(int steps) => _stepsLeft = steps;

    public void Clear() => _stepsLeft = -1;

    public void Step()
    {
        if (_stepsLeft == 0)
        {
            throw new CrashedException();
        }

        if (_stepsLeft > 0)
        {
            _stepsLeft--;
        }
    }

    /// <summary>The process or its host died here.</summary>
    internal sealed class CrashedException : Exception;
}
