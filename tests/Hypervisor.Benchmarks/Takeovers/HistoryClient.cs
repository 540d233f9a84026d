using System;
using System.Diagnostics;
using System.IO;
using System.Net.Sockets;
using System.Threading;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>
/// One connection over the whole campaign: asks the guest for numbered entries, one after the other. An entry that was
/// answered must never be missing again.
/// </summary>
internal abstract class HistoryClient : IDisposable
{
    private const int PauseMillis = 3;

    private readonly Socket _socket;
    private readonly StreamReader _reader;
    private readonly StreamWriter _writer;
    private readonly Thread _thread;
    private long _answered;
    private long _sent;
    private long _longestTicks;
    private string? _violation;
    private volatile bool _isOver;

    /// <summary>Takes the connection; nothing is sent yet.</summary>
    protected HistoryClient(Socket socket)
    {
        _socket = socket;
        var stream = new NetworkStream(socket);
        _reader = new StreamReader(stream);
        _writer = new StreamWriter(stream) { AutoFlush = true, NewLine = "\n" };
        _thread = new Thread(Run) { IsBackground = true, Name = "client" };
    }

    /// <summary>Entries that were answered.</summary>
    public long Answered => Volatile.Read(ref _answered); // written by the client's thread, as the fields below

    /// <summary>Entries that were sent: the last one may be without its answer.</summary>
    public long Sent => Volatile.Read(ref _sent); // see above

    /// <summary>What must not happen and did; null so far.</summary>
    public string? Violation => Volatile.Read(ref _violation); // see above

    /// <summary>Begins to talk.</summary>
    public void Start() => _thread.Start();

    /// <summary>The longest wait for an answer since the last call, in milliseconds.</summary>
    public double TakeLongestMillis()
        => Interlocked.Exchange(ref _longestTicks, 0) * 1000.0 / Stopwatch.Frequency; // see above

    /// <summary>Sends no more entries, and waits for the last answer.</summary>
    /// <exception cref="InvalidOperationException">Something had gone wrong.</exception>
    public void Stop()
    {
        _isOver = true;
        _thread.Join();
        ThrowOnViolation();
    }

    /// <summary>Says what must not happen, if it did.</summary>
    /// <exception cref="InvalidOperationException">It did.</exception>
    public void ThrowOnViolation()
    {
        if (Violation is { } violation)
        {
            throw new InvalidOperationException(violation);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _isOver = true;
        _socket.Dispose();
        if (_thread.IsAlive)
        {
            _thread.Join();
        }

        _reader.Dispose();
        _writer.Dispose();
    }

    /// <summary>What the guest is asked, on one line.</summary>
    protected abstract string Question(long entry);

    /// <summary>What it must say.</summary>
    protected abstract string Answer(long entry);

    /// <summary>Whether a line is no answer at all.</summary>
    protected abstract bool IsNoise(string line);

    /// <summary>Asks for once, while no entries are sent.</summary>
    /// <returns>The answer; null at the end of the connection.</returns>
    protected string? Ask(string question)
    {
        _writer.WriteLine(question);
        string? answer;
        do
        {
            answer = _reader.ReadLine();
        }
        while (answer is not null && IsNoise(answer));
        return answer;
    }

    private void Run()
    {
        try
        {
            for (long entry = 1; !_isOver; entry++)
            {
                Volatile.Write(ref _sent, entry); // see above
                long sent = Stopwatch.GetTimestamp();
                string? answer = Ask(Question(entry));
                Interlocked.Exchange(
                    ref _longestTicks, Math.Max(_longestTicks, Stopwatch.GetTimestamp() - sent)); // see above
                if (answer != Answer(entry))
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
