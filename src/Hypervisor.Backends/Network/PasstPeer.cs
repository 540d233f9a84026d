using System;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Hypervisor.Core.Host;

namespace Hypervisor.Backends.Network;

/// <summary>passt as a child process: the guest's connections become sockets of this host, without any right.</summary>
/// <remarks>
/// passt (https://passt.top) is given one end of a socket pair and speaks the framing of <see cref="StreamBackend"/>.
/// It ends when the other end is closed, so also when this process is killed. What it knows of connections is not
/// replicated: a takeover starts another passt, and connections through it begin anew.
/// </remarks>
public sealed class PasstPeer : INetworkPeers
{
    private const string Program = "passt";
    private const int StartAgainMillis = 1000;
    private const int EarlyEndMillis = 200;

    // Held while the child's end may be inherited: another NIC's passt, started meanwhile on another thread, would keep
    // it open, and neither end would ever see the other one close. Nothing else is taken inside.
    private static readonly Lock s_inheriting = new();

    private readonly NetworkOptions _options;
    private readonly Action<string> _report;
    private Process? _process;
    private Socket? _waiting;
    private string _lastWords = "";

    /// <summary>Prepares it.</summary>
    /// <param name="options">What is forwarded.</param>
    /// <param name="startsNow">Whether it is started here, so that what is wrong is known at once.</param>
    /// <param name="report">Takes a line when it cannot be started later.</param>
    /// <exception cref="HostException">There is no passt, or it ends at once.</exception>
    public PasstPeer(NetworkOptions options, bool startsNow, Action<string> report)
    {
        _options = options;
        _report = report;
        if (startsNow)
        {
            _waiting = StartChild();
        }
        else
        {
            CheckProgram();
        }
    }

    /// <inheritdoc/>
    public Socket? Wait(Task ending)
    {
        while (!ending.IsCompleted)
        {
            (Socket? peer, _waiting) = (_waiting, null);
            if (peer is not null)
            {
                return peer;
            }

            try
            {
                return StartChild();
            }
            catch (HostException error)
            {
                _report(error.Message);
                ending.Wait(StartAgainMillis);
            }
        }

        return null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _waiting?.Dispose(); // it ends when its socket is closed
        Volatile.Read(ref _process)?.Dispose(); // pairs with StartChild
    }

    private static void CheckProgram()
    {
        using Process process = Run(["--version"], static _ => { });
        process.WaitForExit();
    }

    private static Process Run(string[] words, Action<string> onLine)
    {
        var start = new ProcessStartInfo(Program)
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        Array.ForEach(words, start.ArgumentList.Add);
        try
        {
            Process process = Process.Start(start)!;
            process.ErrorDataReceived += (_, line) => onLine(line.Data ?? "");
            process.OutputDataReceived += static (_, _) => { };
            process.BeginErrorReadLine();
            process.BeginOutputReadLine();
            return process;
        }
        catch (Win32Exception error)
        {
            string reason = new Win32Exception(error.NativeErrorCode).Message;
            throw new HostException($"{Program}: {reason}; allowed: with Debian's package passt, or another --net");
        }
    }

    private Socket StartChild()
    {
        Socket socket;
        Process process;
        lock (s_inheriting)
        {
            HostSocketPair.Create(out int ours, out int childs);
            socket = new Socket(new SafeSocketHandle(ours, ownsHandle: true));
            try
            {
                process = Run(Words(childs), TakeLine);
            }
            catch (HostException)
            {
                socket.Dispose();
                throw;
            }
            finally
            {
                HostSocketPair.Close(childs); // the child has its own
            }
        }

        if (process.WaitForExit(EarlyEndMillis))
        {
            process.WaitForExit(); // for its last words
            process.Dispose();
            socket.Dispose();
            throw new HostException($"{Program} ended at once: {_lastWords}");
        }

        Interlocked.Exchange(ref _process, process)?.Dispose(); // pairs with Dispose, which must not see it any earlier
        return socket;
    }

    private string[] Words(int descriptor)
    {
        string mtu = _options.MtuBytes.ToString(CultureInfo.InvariantCulture);
        string file = descriptor.ToString(CultureInfo.InvariantCulture);
        string[] words = ["--foreground", "--quiet", "--stderr", "--fd", file, "--mtu", mtu];
        foreach (HostForward forward in _options.Forwards)
        {
            string address = forward.HostAddress.Length == 0 ? "" : forward.HostAddress + "/";
            words =
            [
                .. words,
                forward.IsTcp ? "--tcp-ports" : "--udp-ports",
                string.Create(CultureInfo.InvariantCulture, $"{address}{forward.HostPort}:{forward.GuestPort}"),
            ];
        }

        return words;
    }

    private void TakeLine(string line)
    {
        bool isOfItsLog = line.Contains("to syslog", StringComparison.Ordinal); // says nothing of what it does
        _lastWords = line.Length == 0 || isOfItsLog ? _lastWords : line;
    }
}
