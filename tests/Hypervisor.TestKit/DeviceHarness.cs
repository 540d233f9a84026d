using System;
using System.Collections.Generic;
using Hypervisor.Core.Memory;
using Hypervisor.Core.Time;
using Hypervisor.Devices;

namespace Hypervisor.TestKit;

/// <summary>
/// The surroundings of a device under test: small RAM, simulated time, and a record of its interrupts.
/// </summary>
public sealed class DeviceHarness : IDisposable
{
    /// <summary>Interrupt lines that are recorded.</summary>
    public const int LineCount = 24;

    private readonly bool[] _lines = new bool[LineCount];
    private readonly int[] _risingEdges = new int[LineCount];

    /// <summary>Makes a harness whose guest clock runs from 0.</summary>
    public DeviceHarness(long ramBytes = GuestRam.BytesMin)
    {
        Ram = new GuestRam(ramBytes);
        GuestClock = new GuestClock(Clock);
        Timers = new GuestTimers(GuestClock);
        Context = new DeviceContext(
            Ram, Timers, EventLoop, new SeededEntropy(1), DriveLine, (address, data) => Messages.Add((address, data)));
        GuestClock.Start();
    }

    /// <summary>What the device under test is given.</summary>
    public DeviceContext Context { get; }

    /// <summary>Guest RAM.</summary>
    public GuestRam Ram { get; }

    /// <summary>Host time.</summary>
    public SimClock Clock { get; } = new();

    /// <summary>Guest time; runs.</summary>
    public GuestClock GuestClock { get; }

    /// <summary>The timers of the device under test.</summary>
    public GuestTimers Timers { get; }

    /// <summary>Where the device under test posts.</summary>
    public FakeEventLoop EventLoop { get; } = new();

    /// <summary>Message-signalled interrupts (address, data), oldest first.</summary>
    public List<(ulong Address, uint Data)> Messages { get; } = [];

    /// <summary>Called at each rising edge of an interrupt line.</summary>
    public Action? OnEdge { get; set; }

    /// <summary>The level of an interrupt line.</summary>
    public bool IsHigh(int gsi) => _lines[gsi];

    /// <summary>How often an interrupt line went from low to high.</summary>
    public int RisingEdges(int gsi) => _risingEdges[gsi];

    /// <summary>Lets guest time pass, and runs each timer at its very deadline.</summary>
    public void Advance(long nanos)
    {
        long end = GuestClock.NowNanos + nanos;
        while (Timers.NextDeadlineNanos <= end)
        {
            Clock.Advance(Math.Max(0, Timers.NextDeadlineNanos - GuestClock.NowNanos));
            Timers.RunDue();
        }

        Clock.Advance(end - GuestClock.NowNanos);
    }

    /// <inheritdoc/>
    public void Dispose() => Ram.Dispose();

    private void DriveLine(int gsi, bool high)
    {
        if (high && !_lines[gsi])
        {
            _risingEdges[gsi]++;
            OnEdge?.Invoke();
        }

        _lines[gsi] = high;
    }
}
