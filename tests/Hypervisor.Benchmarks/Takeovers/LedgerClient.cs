using System;
using System.Diagnostics;
using System.IO;
using System.Net.Sockets;
using System.Threading;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>
/// One connection over the whole campaign: sends numbered entries to a server that writes each to its disk and answers
/// with its number there. An entry that was answered must never be missing again.
/// </summary>
internal sealed class LedgerClient : IDisposable
{
    private const int PauseMillis = 3;

    private readonly Socket _socket;
    private readonly Thread _thread;
    private long _answered;
    private long _longestTicks;
    private string? _violation;
    private volatile bool _isOver;

    /// <summary>Begins to talk.</summary>
    public LedgerClient(Socket socket)
    {
        _socket = socket;
        _thread = new Thread(Run) { IsBackground = true, Name = "client" };
        _thread.Start();
    }

    /// <summary>Entries that were answered.</summary>
    public long Answered => Volatile.Read(ref _answered); // written by the client's thread, as the fields below

    /// <summary>What must not happen and did; null so far.</summary>
    public string? Violation => Volatile.Read(ref _violation); // see above

    /// <summary>The longest wait for an answer since the last call, in milliseconds.</summary>
    public double TakeLongestMillis()
        => Interlocked.Exchange(ref _longestTicks, 0) * 1000.0 / Stopwatch.Frequency; // see above

    /// <summary>Sends nothing more, and waits for the last answer.</summary>
    public void Stop()
    {
        _isOver = true;
        _thread.Join();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _isOver = true;
        _socket.Dispose();
        _thread.Join();
    }

    private void Run()
    {
        try
        {
            using var stream = new NetworkStream(_socket);
            using var reader = new StreamReader(stream);
            using var writer = new StreamWriter(stream) { AutoFlush = true, NewLine = "\n" };
            for (long entry = 1; !_isOver; entry++)
            {
                long sent = Stopwatch.GetTimestamp();
                writer.WriteLine($"entry {entry}");
                string? answer = reader.ReadLine();
                Interlocked.Exchange(
                    ref _longestTicks, Math.Max(_longestTicks, Stopwatch.GetTimestamp() - sent)); // see above
                if (answer != $"{entry} entry {entry}")
                {
                    Volatile.Write(ref _violation, $"the answer to entry {entry} is '{answer}'"); // see above
                    return;
                }

                Volatile.Write(ref _answered, entry); // see above
                Thread.Sleep(PauseMillis);
            }
        }
        catch (Exception error) when (error is IOException or SocketException or ObjectDisposedException)
        {
            if (!_isOver)
            {
                Volatile.Write(ref _violation, $"the connection ended after entry {Answered}: {error.Message}");
            }
        }
    }
}
