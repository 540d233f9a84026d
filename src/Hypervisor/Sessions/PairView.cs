using System;
using System.IO;

namespace Hypervisor.Sessions;

/// <summary>
/// What a user sees of a pair while it runs: a progress bar or lines for the full copy, then a status line a second.
/// </summary>
internal sealed class PairView(TextWriter screen, bool isTerminal) : IDisposable
{
    private const long LineEveryNanos = 1_000_000_000;

    private CopyProgress? _progress;
    private long _lastLineNanos = long.MinValue / 2;
    private bool _isCopyOver;

    /// <summary>Prints a line.</summary>
    public void Say(string line)
    {
        EndStatus();
        screen.WriteLine($"pair: {line}");
    }

    /// <summary>Shows what one half reported.</summary>
    /// <param name="isStandby">Which half.</param>
    /// <param name="status">The report.</param>
    /// <param name="step">Last step of the embedded guest that the outside saw; -1 when there is none.</param>
    public void OnStatus(bool isStandby, StatusEvent status, long step)
    {
        switch (status.Kind)
        {
            case StatusKind.Copying when !isStandby:
                ShowCopy(status);
                break;
            case StatusKind.Epoch when !isStandby:
                EndStatus();
                SayNowAndThen(status, step);
                break;
            case StatusKind.Takeover or StatusKind.Unprotected or StatusKind.Ended:
            case StatusKind.Running when isStandby:
                Say($"{(isStandby ? "standby" : "primary")}: {StatusText.Describe(status)}");
                break;
            case StatusKind.Listening or StatusKind.Running or StatusKind.Epoch or StatusKind.Copying:
                break;
        }
    }

    /// <summary>Takes the progress bar away, so that lines can follow.</summary>
    public void EndStatus()
    {
        _progress?.Dispose();
        _progress = null;
    }

    /// <inheritdoc/>
    public void Dispose() => EndStatus();

    private void ShowCopy(StatusEvent status)
    {
        if (!isTerminal)
        {
            SayNowAndThen(status, -1);
            return;
        }

        if (!_isCopyOver)
        {
            _progress ??= new CopyProgress();
            _progress.Show(status.DoneBytes, status.TotalBytes);
            _isCopyOver = status.DoneBytes >= status.TotalBytes;
        }
    }

    private void SayNowAndThen(StatusEvent status, long step)
    {
        if (status.AtNanos - _lastLineNanos < LineEveryNanos)
        {
            return;
        }

        _lastLineNanos = status.AtNanos;
        screen.WriteLine($"pair: {StatusText.Describe(status)}{(step >= 0 ? $" · step {step}" : "")}");
    }
}
