using System;
using Hypervisor.Core.State;

namespace Hypervisor.Devices.Chipset;

/// <summary>
/// Delivers the edges of a periodic timer one by one. Edges that come late, or while the one before still waits at an
/// interrupt controller, are owed: each is delivered when a vCPU took the one before.
/// </summary>
/// <remarks>
/// A guest counts time by these interrupts, and a host that stalls must not make it lose any. Nothing is owed while no
/// controller takes the interrupt: a masked timer's edges are lost, as on hardware.
/// </remarks>
/// <param name="isWaiting">
/// Whether the last edge stands at a controller that will deliver it to a vCPU once it can.
/// </param>
/// <param name="pulse">Makes one rising edge.</param>
internal sealed class TickDebt(Func<bool> isWaiting, Action pulse)
{
    /// <summary>Edges that can be owed: a second's worth at 1000 Hz. What a longer stall misses is lost.</summary>
    public const int EdgesMax = 1_000;

    private int _owed;

    /// <summary>So many edges are due now; those that cannot be delivered at once are owed.</summary>
    public void Tick(long edges)
    {
        // A vCPU may take an edge at once, on its thread: that none waits then does not mean that nobody wants more.
        edges = Math.Min(EdgesMax + 1, edges);
        for (; edges > 0 && !isWaiting(); edges--)
        {
            pulse();
        }

        _owed = (int)Math.Min(EdgesMax, _owed + edges);
    }

    /// <summary>A vCPU took the last edge.</summary>
    public void OnTaken()
    {
        if (_owed > 0)
        {
            _owed--;
            pulse();
        }
    }

    /// <summary>The timer was programmed anew, or reset.</summary>
    public void Forget() => _owed = 0;

    public void Transfer(ref StateCodec state)
    {
        state.I32(ref _owed);
        if (_owed is < 0 or > EdgesMax)
        {
            throw new StateFormatException($"{_owed} timer edges owed, allowed are 0 to {EdgesMax}");
        }
    }
}
