using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Text.RegularExpressions;
using System.Threading;

namespace Hypervisor.Benchmarks;

/// <summary>One started `hv`: its lines with the time at which each came, and its end.</summary>
internal sealed class HvProcess : IDisposable
{
    private readonly Process _process;
    private readonly long _startTicks = Stopwatch.GetTimestamp();
    private readonly Thread[] _readers;
    private readonly Lock _lock = new(); // protects the lines
    private readonly List<(string Text, double Millis)> _lines = [];
    private readonly Func<string, bool> _keeps;

    /// <param name="hv">The program; `setpriv` and the like may come before it.</param>
    /// <param name="words">Its arguments.</param>
    /// <param name="keeps">Which lines of its output are worth remembering.</param>
    public HvProcess(string hv, IEnumerable<string> words, Func<string, bool> keeps)
    {
        _keeps = keeps;
        var start = new ProcessStartInfo(hv, words)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        _process = Process.Start(start)!;
        _readers = [Read(_process.StandardOutput), Read(_process.StandardError)];
    }

    /// <summary>Process id.</summary>
    public int Id => _process.Id;

    /// <summary>Whether it is over.</summary>
    public bool HasEnded => _process.HasExited;

    /// <summary>The lines so far that were worth remembering, each with its time in milliseconds.</summary>
    public IReadOnlyList<(string Text, double Millis)> Lines
    {
        get
        {
            lock (_lock)
            {
                return [.. _lines];
            }
        }
    }

    /// <summary>How many lines there are so far: where <see cref="WaitFor"/> may begin to look.</summary>
    public int LineCount
    {
        get
        {
            lock (_lock)
            {
                return _lines.Count;
            }
        }
    }

    /// <summary>Types a line at the guest's console.</summary>
    public void Type(string line) => _process.StandardInput.WriteLine(line);

    /// <summary>Waits for a line that matches.</summary>
    /// <param name="line">What it looks like.</param>
    /// <param name="patience">How long to wait.</param>
    /// <param name="first">How many lines do not count, as they came before something was done.</param>
    /// <returns>
    /// The match, when the line came, in milliseconds from the start of the process, and how many lines end with it.
    /// </returns>
    /// <exception cref="InvalidOperationException">The process ended, or time is over, without it.</exception>
    public (Match Found, double Millis, int Count) WaitFor(Regex line, TimeSpan patience, int first = 0)
    {
        long began = Stopwatch.GetTimestamp();
        while (true)
        {
            bool isLast = HasEnded || Stopwatch.GetElapsedTime(began) > patience;
            if (isLast && HasEnded)
            {
                Array.ForEach(_readers, reader => reader.Join());
            }

            if (TryFind(line, first) is { } found)
            {
                return found;
            }

            if (isLast)
            {
                throw new InvalidOperationException($"no line '{line}' came; {Tail()}");
            }

            Thread.Sleep(2); // the line carries its own time
        }
    }

    /// <summary>SIGKILL.</summary>
    public void Kill() => _process.Kill();

    /// <summary>Sends a signal by its name, as kill(1) knows it.</summary>
    public void Signal(string name)
    {
        using Process kill = Process.Start("kill", ["-s", name, Id.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }

    /// <summary>Waits for the end.</summary>
    /// <returns>When it came, in milliseconds from the start of the process.</returns>
    /// <exception cref="InvalidOperationException">Wrong exit code, or time is over.</exception>
    public double WaitForEnd(int exitCode, TimeSpan patience)
    {
        if (!_process.WaitForExit(patience))
        {
            throw new InvalidOperationException($"still running after {patience}; {Tail()}");
        }

        double millis = Stopwatch.GetElapsedTime(_startTicks).TotalMilliseconds;
        Array.ForEach(_readers, reader => reader.Join());
        return _process.ExitCode == exitCode
            ? millis
            : throw new InvalidOperationException($"exit code {_process.ExitCode}, not {exitCode}; {Tail()}");
    }

    /// <summary>Largest resident memory so far of any process of this host, in MiB; 0 when it is gone.</summary>
    public static double PeakMebibytes(int process) => Mebibytes(process, "VmHWM:");

    /// <summary>Resident memory of any process of this host, in MiB; 0 when it is gone.</summary>
    public static double ResidentMebibytes(int process) => Mebibytes(process, "VmRSS:");

    /// <summary>What of it is guest RAM, a file in memory; in MiB; 0 when the process is gone.</summary>
    public static double GuestRamMebibytes(int process) => Mebibytes(process, "RssShmem:");

    private static double Mebibytes(int process, string name)
    {
        try
        {
            foreach (string line in File.ReadLines($"/proc/{process}/status"))
            {
                if (line.StartsWith(name, StringComparison.Ordinal))
                {
                    ReadOnlySpan<char> kibibytes = line.AsSpan(name.Length, line.Length - name.Length - " kB".Length);
                    return long.Parse(kibibytes, NumberStyles.Any, CultureInfo.InvariantCulture) / 1024.0;
                }
            }
        }
        catch (IOException)
        {
            // It ended between two looks.
        }

        return 0;
    }

    /// <summary>Ends the process and its children if they still run.</summary>
    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
            _process.WaitForExit();
        }

        Array.ForEach(_readers, reader => reader.Join());
        _process.Dispose();
    }

    private Thread Read(StreamReader stream)
    {
        var reader = new Thread(() =>
        {
            while (stream.ReadLine() is { } line)
            {
                double millis = Stopwatch.GetElapsedTime(_startTicks).TotalMilliseconds;
                if (_keeps(line))
                {
                    lock (_lock)
                    {
                        _lines.Add((line, millis));
                    }
                }
            }
        })
        { IsBackground = true };
        reader.Start();
        return reader;
    }

    /// <summary>The first line that matches and is not one of the first ones; null so far.</summary>
    public (Match Found, double Millis, int Count)? TryFind(Regex line, int first = 0)
    {
        lock (_lock)
        {
            for (int i = first; i < _lines.Count; i++)
            {
                Match match = line.Match(_lines[i].Text);
                if (match.Success)
                {
                    return (match, _lines[i].Millis, i + 1);
                }
            }
        }

        return null;
    }

    private string Tail()
    {
        lock (_lock)
        {
            int first = Math.Max(0, _lines.Count - 12);
            return "its last lines: " + string.Join(" / ", _lines[first..].ConvertAll(line => line.Text));
        }
    }
}
