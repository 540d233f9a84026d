using Hypervisor.Control;

namespace Hypervisor.Tests.Control;

/// <summary>A guest that says what it is told to, and remembers what it was asked.</summary>
internal sealed class WatchedGuest : IWatchedGuest
{
    public GuestStatus Shown { get; set; } = new() { State = GuestStates.Running };

    public string? StopReason { get; private set; }

    public string? TakeOverError { get; init; }

    public int TakeOvers { get; private set; }

    public GuestStatus Status() => Shown;

    public void Stop(string reason) => StopReason = reason;

    public long ScrubRate { get; private set; }

    public string? Scrub(long bytesPerSecond)
    {
        ScrubRate = bytesPerSecond;
        return null;
    }

    public long? MemoryBytes { get; private set; }

    public string? SetMemory(long bytes)
    {
        MemoryBytes = bytes;
        return null;
    }

    public (string Disk, long Bytes, bool Shrinks)? Resized { get; private set; }

    public string? Resize(string disk, long bytes, bool shrinks)
    {
        Resized = (disk, bytes, shrinks);
        return null;
    }

    public string? TakeOver()
    {
        TakeOvers++;
        return TakeOverError;
    }
}
