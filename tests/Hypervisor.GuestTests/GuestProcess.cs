using System;
using System.Diagnostics;
using System.IO;
using System.Threading;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.GuestTests;

/// <summary>`hv` as a process in a network namespace, and what it says.</summary>
internal sealed class GuestProcess : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(3); // only one that hangs waits that long
    private const int PollMillis = 20;

    private readonly Process _process;
    private readonly string _console;
    private readonly StringWriter _said = new(); // locked: written by the process's own events
    private readonly TestFolder _folder;

    /// <summary>Starts it.</summary>
    public GuestProcess(NetworkNamespace space, TestFolder folder, string role, params string[] words)
    {
        _folder = folder;
        _console = folder[role + ".console"];
        string program = Path.Combine(AppContext.BaseDirectory, "hv");
        string[] all = ["netns", "exec", space.Name, program, .. words, "--serial", $"file:{_console}"];
        _process = Process.Start(new ProcessStartInfo("ip", all)
        {
            RedirectStandardError = true,
            RedirectStandardInput = true,
        })!;
        _process.ErrorDataReceived += (_, line) =>
        {
            lock (_said)
            {
                _said.WriteLine(line.Data);
            }
        };
        _process.BeginErrorReadLine();
    }

    /// <summary>What it wrote to its error output and to the guest's console.</summary>
    public string Text
    {
        get
        {
            lock (_said)
            {
                using FileStream? file = File.Exists(_console)
                    ? new FileStream(_console, FileMode.Open, FileAccess.Read, FileShare.ReadWrite)
                    : null;
                return _said + (file is null ? "" : new StreamReader(file).ReadToEnd());
            }
        }
    }

    /// <summary>Waits until it said something.</summary>
    public void Await(string text)
    {
        bool isThere = SpinWait.SpinUntil(
            () => Text.Contains(text, StringComparison.Ordinal) || _process.WaitForExit(PollMillis), s_limit);
        Assert.True(isThere && Text.Contains(text, StringComparison.Ordinal), $"waited for '{text}':\n{Text}");
    }

    /// <summary>SIGKILL: `ip` has become `hv`, so this is its process.</summary>
    public void Kill() => _process.Kill();

    /// <summary>Waits for the end.</summary>
    public int WaitForEnd()
    {
        Assert.True(_process.WaitForExit(s_limit), $"did not end in {_folder["."]}:\n{Text}");
        return _process.ExitCode;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit();
        }

        _process.Dispose();
        _said.Dispose();
    }
}
