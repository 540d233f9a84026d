using System;
using System.Threading;
using Spectre.Console;

namespace Hypervisor.Sessions;

/// <summary>
/// The progress bar of the full copy. The only user of Spectre.Console at the start: loaded when it is shown.
/// </summary>
internal sealed class CopyProgress : IDisposable
{
    private const int RedrawMillis = 50;

    private readonly ManualResetEventSlim _isOver = new(false);
    private readonly Thread _thread;
    private long _doneBytes;
    private long _totalBytes = 1;

    /// <summary>Shows an empty bar on standard error.</summary>
    public CopyProgress()
    {
        _thread = new Thread(Draw) { Name = "copy-progress", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Moves the bar. Any thread.</summary>
    public void Show(long doneBytes, long totalBytes)
    {
        Volatile.Write(ref _totalBytes, Math.Max(1, totalBytes)); // both pair with the reads in Draw
        Volatile.Write(ref _doneBytes, doneBytes);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _isOver.Set();
        _thread.Join();
        _isOver.Dispose();
    }

    private void Draw()
    {
        IAnsiConsole console = AnsiConsole.Create(
            new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        console.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn())
            .Start(context =>
            {
                ProgressTask task = context.AddTask("full copy");
                bool isOver;
                do
                {
                    isOver = _isOver.Wait(RedrawMillis);
                    task.MaxValue = Volatile.Read(ref _totalBytes);
                    task.Value = Volatile.Read(ref _doneBytes);
                }
                while (!isOver);
            });
    }
}
