using System;
using System.Globalization;
using System.IO;
using System.Threading;
using Hypervisor.CommandLine;
using Hypervisor.Cpu;

namespace Hypervisor.Sessions;

/// <summary>Tells Linux' perf what generated code is: a line for each piece in /tmp/perf-PID.map.</summary>
/// <remarks>
/// Format: start and size in hexadecimal, name. Spec: Linux, tools/perf/Documentation/jit-interface.txt. Where code is
/// evicted and its memory used again, the later line is the right one.
/// </remarks>
internal sealed class PerfMap : IDisposable
{
    private readonly Lock _lock = new(); // vCPUs write from their own threads
    private readonly StreamWriter _lines;
    private bool _hasFailed;

    private PerfMap(StreamWriter lines) => _lines = lines;

    /// <summary>Opens the map of this process.</summary>
    /// <exception cref="UsageException">It cannot be written.</exception>
    internal static PerfMap Open()
    {
        string path = Path.Combine("/tmp", $"perf-{Environment.ProcessId}.map");
        try
        {
            // .NET's own map has the same name: what is there stays.
            var file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite);
            return new PerfMap(new StreamWriter(file) { AutoFlush = true });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--perf-map: cannot write {path}: {e.Message}");
        }
    }

    /// <summary>Adds a piece of code. Any thread.</summary>
    internal void Add(CodeArea area)
    {
        string line = string.Create(CultureInfo.InvariantCulture, $"{area.Address:x} {area.Bytes:x} {area.Name}");
        lock (_lock)
        {
            try
            {
                if (!_hasFailed)
                {
                    _lines.WriteLine(line);
                }
            }
            catch (IOException error)
            {
                _hasFailed = true; // the guest goes on, with code that has no name
                System.Console.Error.WriteLine($"hv: --perf-map: {error.Message}; no more is written");
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _lines.Dispose();
}
