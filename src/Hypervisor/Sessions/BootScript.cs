using System;
using System.Collections.Generic;
using System.Text;
using System.Threading;
using Hypervisor.Core.Time;

namespace Hypervisor.Sessions;

/// <summary>Runs a script of expects and sends against a console's output, strictly in order.</summary>
/// <remarks>
/// An expect is searched in what the guest printed after the previous expect's match. No thread and no waiting of its
/// own: output comes in by <see cref="OnOutput"/> on any thread, what is to be typed goes out by
/// <see cref="TryTakeInput"/>.
/// </remarks>
internal sealed class BootScript
{
    private const int TailBytesMax = 8192; // what a failure shows at most

    private readonly IReadOnlyList<BootStep> _steps;
    private readonly byte[][] _texts;
    private readonly IHostClock _clock;
    private readonly Queue<byte[]> _input = new();
    private readonly List<byte> _unmatched = [];
    private readonly List<byte> _tail = [];
    private readonly List<long> _endNanos = [];

    // Protects everything above; a leaf lock, taken under the bus lock by the guest's output.
    private readonly Lock _lock = new();

    /// <summary>Starts at the first step.</summary>
    public BootScript(IReadOnlyList<BootStep> steps, IHostClock clock)
    {
        _steps = steps;
        _clock = clock;
        StartNanos = clock.NowNanos;
        _texts = new byte[steps.Count][];
        for (int i = 0; i < steps.Count; i++)
        {
            _texts[i] = Encoding.UTF8.GetBytes(steps[i].Text);
        }

        Advance();
    }

    /// <summary>When the script began.</summary>
    public long StartNanos { get; }

    /// <summary>The steps.</summary>
    public IReadOnlyList<BootStep> Steps => _steps;

    /// <summary>How many steps are done.</summary>
    public int DoneCount
    {
        get
        {
            lock (_lock)
            {
                return _endNanos.Count;
            }
        }
    }

    /// <summary>Whether every step is done.</summary>
    public bool IsDone => DoneCount == _steps.Count;

    /// <summary>When step <paramref name="index"/> was done.</summary>
    public long EndNanos(int index)
    {
        lock (_lock)
        {
            return _endNanos[index];
        }
    }

    /// <summary>The console printed <paramref name="bytes"/>.</summary>
    public void OnOutput(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            _tail.AddRange(bytes);
            if (_tail.Count > 2 * TailBytesMax)
            {
                _tail.RemoveRange(0, _tail.Count - TailBytesMax);
            }

            if (_endNanos.Count < _steps.Count)
            {
                _unmatched.AddRange(bytes);
                Advance();
            }
        }
    }

    /// <summary>Takes the next bytes to type; false when there is nothing to type now.</summary>
    public bool TryTakeInput(out byte[] bytes)
    {
        lock (_lock)
        {
            return _input.TryDequeue(out bytes!);
        }
    }

    /// <summary>The last lines that the console printed.</summary>
    public string LastLines(int count)
    {
        string text;
        lock (_lock)
        {
            text = Encoding.UTF8.GetString([.. _tail]);
        }

        string[] lines = text.ReplaceLineEndings("\n").TrimEnd('\n').Split('\n');
        return string.Join('\n', lines[Math.Max(0, lines.Length - count)..]);
    }

    private void Advance()
    {
        while (_endNanos.Count < _steps.Count)
        {
            int step = _endNanos.Count;
            if (_steps[step].IsExpect && !TryMatch(_texts[step]))
            {
                return;
            }

            if (!_steps[step].IsExpect)
            {
                _input.Enqueue(_texts[step]);
            }

            _endNanos.Add(_clock.NowNanos);
        }
    }

    private bool TryMatch(byte[] text)
    {
        int found = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_unmatched).IndexOf(text);
        int used = found >= 0
            ? found + text.Length
            : Math.Max(0, _unmatched.Count - (text.Length - 1)); // a match may begin in what is kept
        _unmatched.RemoveRange(0, used);
        return found >= 0;
    }
}
