using System;
using System.Text;
using System.Threading;
using Hypervisor.Replication.Session;

namespace Hypervisor.Tests.Replication.Session;

/// <summary>Remembers what a session said.</summary>
internal sealed class SessionLog : ISessionEvents
{
    private readonly Lock _lock = new(); // protects _text
    private readonly StringBuilder _text = new();

    /// <summary>Offset of the first repeated console byte; -1 when none was.</summary>
    public long RepeatedFrom { get; private set; } = -1;

    public ulong RunningGeneration { get; private set; }

    public bool? IsPlannedEnd { get; private set; }

    public void OnState(string line) => Add(line);

    public void OnCopyProgress(long doneBytes, long totalBytes)
    {
    }

    public void OnOutputRepeated(int stream, long offsetBytes, int lengthBytes)
        => RepeatedFrom = RepeatedFrom < 0 ? offsetBytes : RepeatedFrom;

    public void OnGuestRunning(ulong generation)
    {
        RunningGeneration = generation;
        Add($"running in generation {generation}");
    }

    public void OnEnded(bool isPlanned, string reason)
    {
        IsPlannedEnd = isPlanned;
        Add($"ended, planned {isPlanned}: {reason}");
    }

    /// <summary>Whether it said so, at any time.</summary>
    public bool Says(string text) => ToString().Contains(text, StringComparison.Ordinal);

    /// <summary>How often it said so.</summary>
    public int Count(string text) => ToString().Split(text).Length - 1;

    public override string ToString()
    {
        lock (_lock)
        {
            return _text.ToString();
        }
    }

    private void Add(string line)
    {
        lock (_lock)
        {
            _text.AppendLine(line);
        }
    }
}
