using System;
using Hypervisor.Core.Memory;
using Hypervisor.Core.Time;

namespace Hypervisor.Devices;

/// <summary>What a device may use of its surroundings.</summary>
/// <param name="Ram">Guest RAM, for DMA.</param>
/// <param name="Timers">Guest time, and timers in it.</param>
/// <param name="EventLoop">Where completions from other threads go.</param>
/// <param name="Entropy">Random bytes.</param>
/// <param name="DriveLine">Sets the level of a global system interrupt (GSI, 0-23).</param>
/// <param name="SendMsi">Sends a message-signalled interrupt: address and data as in SDM volume 3, 11.11.</param>
public sealed record DeviceContext(
    GuestRam Ram,
    GuestTimers Timers,
    IEventLoop EventLoop,
    IEntropySource Entropy,
    Action<int, bool> DriveLine,
    Action<ulong, uint> SendMsi)
{
    /// <summary>The wire to <paramref name="gsi"/>.</summary>
    public InterruptLine Line(int gsi) => new(gsi, DriveLine);
}
