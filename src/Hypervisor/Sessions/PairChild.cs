using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.IO.Pipes;
using System.Threading;
using Hypervisor.CommandLine;
using Hypervisor.Core.Host;

namespace Hypervisor.Sessions;

/// <summary>One half of a pair: a process of `hv`, its console, and its status lines.</summary>
internal sealed class PairChild : IDisposable
{
    private readonly Process _process;
    private readonly AnonymousPipeServerStream _reports;
    private readonly List<Thread> _readers = [];

    /// <summary>Starts `hv` with <paramref name="words"/>.</summary>
    /// <param name="role">Name in messages.</param>
    /// <param name="words">Command and options, without `--report-fd`.</param>
    /// <param name="onConsole">
    /// Gets the guest's output; an empty span is its end. On a thread of the child's own.
    /// </param>
    /// <param name="onStatus">Gets status events. On another thread of its own.</param>
    /// <exception cref="FailureException">The process cannot be started.</exception>
    public PairChild(
        string role, IReadOnlyList<string> words, ConsoleStitch.Output onConsole, Action<StatusEvent> onStatus)
    {
        Role = role;
        _reports = new AnonymousPipeServerStream(PipeDirection.In, HandleInheritability.Inheritable);
        var start = new ProcessStartInfo(Environment.ProcessPath!)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        if (Path.GetFileNameWithoutExtension(start.FileName) == "dotnet")
        {
            start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "hv.dll")); // started as `dotnet hv.dll`
        }

        foreach (string word in (string[])[.. words, "--report-fd", _reports.GetClientHandleAsString()])
        {
            start.ArgumentList.Add(word);
        }

        try
        {
            _process = Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception error)
        {
            _reports.Dispose();
            throw new FailureException($"{role}: cannot start {start.FileName}: {error.Message}");
        }

        // Else the next child would inherit this end, and the end of this child would go unseen.
        _reports.DisposeLocalCopyOfClientHandle();
        Read($"{role}-console", () => ReadConsole(onConsole));
        Read($"{role}-status", () => ReadStatus(onStatus));
    }

    /// <summary>`primary` or `standby`.</summary>
    public string Role { get; }

    /// <summary>Its process id.</summary>
    public int Id => _process.Id;

    /// <summary>Whether the process is over.</summary>
    public bool HasEnded => _process.HasExited;

    /// <summary>Its exit code; valid once it has ended.</summary>
    public int ExitCode => _process.ExitCode;

    /// <summary>What the user types goes here.</summary>
    public Stream Keyboard => _process.StandardInput.BaseStream;

    /// <summary>SIGKILL: the process gets no chance to say anything.</summary>
    public void Kill() => _process.Kill();

    /// <summary>SIGTERM: the guest ends in order.</summary>
    public void RequestEnd()
    {
        if (!_process.HasExited)
        {
            HostProcess.RequestEnd(_process.Id);
        }
    }

    /// <summary>
    /// Waits for the end of the process and of everything that it wrote; false when it takes too long.
    /// </summary>
    public bool WaitForEnd(TimeSpan patience) => _process.WaitForExit(patience)
        && _readers.TrueForAll(reader => reader.Join(patience));

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit();
        }

        _readers.ForEach(reader => reader.Join());
        _reports.Dispose();
        _process.Dispose();
    }

    private void Read(string name, ThreadStart work)
    {
        var thread = new Thread(work) { Name = name, IsBackground = true };
        _readers.Add(thread);
        thread.Start();
    }

    private void ReadConsole(ConsoleStitch.Output onConsole)
    {
        byte[] bytes = new byte[16 * 1024];
        int length;
        while ((length = _process.StandardOutput.BaseStream.Read(bytes)) > 0)
        {
            onConsole(bytes.AsSpan(0, length));
        }

        onConsole([]);
    }

    private void ReadStatus(Action<StatusEvent> onStatus)
    {
        using var lines = new StreamReader(_reports, leaveOpen: true);
        while (lines.ReadLine() is { } line)
        {
            if (StatusText.FromJson(line) is { } status)
            {
                onStatus(status);
            }
        }
    }
}
