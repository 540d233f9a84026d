using System;
using System.ComponentModel;
using System.Diagnostics;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Threading;
using Hypervisor.Core;
using Hypervisor.Core.Host;
using Microsoft.Win32.SafeHandles;

namespace Hypervisor.TestKit;

/// <summary>A network of this host's kernel that nothing else touches; gone with the test.</summary>
public sealed partial class NetworkNamespace : IDisposable
{
    private const int NewNetwork = 0x4000_0000; // CLONE_NEWNET
    private static int s_count;

    /// <summary>Makes it, with a loopback interface that is up.</summary>
    public NetworkNamespace()
    {
        Name = $"hv{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}"; // one per test, on several threads
        Check.That(Run("netns", "add", Name) is null);
        Configure("link set lo up");
    }

    /// <summary>Name for `ip netns exec`.</summary>
    public string Name { get; }

    /// <summary>Why this host can't make one with TAP interfaces in it; null when it can.</summary>
    public static string? WhyNot()
    {
        if (!File.Exists(HostTap.DevicePath))
        {
            return $"no {HostTap.DevicePath}";
        }

        string name = $"hv{Environment.ProcessId}-probe{Interlocked.Increment(ref s_count)}"; // as above
        return Run("netns", "add", name) ?? Run("netns", "exec", name, "ip", "tuntap", "add", "probe", "mode", "tap")
            ?? Run("netns", "del", name);
    }

    /// <summary>Runs `ip` in it, with words that a space separates.</summary>
    public void Configure(string words)
    {
        string? failure = Run(["-n", Name, .. words.Split(' ')]);
        if (failure is not null)
        {
            throw new InvalidOperationException($"ip {words}: {failure}");
        }
    }

    /// <summary>Does something there: sockets and TAP interfaces that it makes belong to the namespace.</summary>
    public T Inside<T>(Func<T> make)
    {
        T made = default!;
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            using SafeFileHandle space = File.OpenHandle($"/run/netns/{Name}");
            if (Enter((int)space.DangerousGetHandle(), NewNetwork) != 0)
            {
                failure = new Win32Exception(Marshal.GetLastPInvokeError());
                return;
            }

            try
            {
                made = make();
            }
            catch (Exception error) when (error is SocketException or HostException)
            {
                failure = error;
            }
        });
        thread.Start();
        thread.Join(); // the thread is of no more use: it stays in there
        return failure is null ? made
            : throw new InvalidOperationException($"in the namespace: {failure.Message}", failure);
    }

    /// <summary>Opens a TCP connection from there.</summary>
    public Socket Connect(string address, int port) => Inside(() =>
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
        {
            NoDelay = true,
            ReceiveTimeout = 60_000,
            SendTimeout = 60_000,
        };
        socket.Connect(IPAddress.Parse(address), port);
        return socket;
    });

    /// <inheritdoc/>
    public void Dispose() => _ = Run("netns", "del", Name);

    // Null, or what it said.
    private static string? Run(params string[] words)
    {
        var start = new ProcessStartInfo("ip", words) { RedirectStandardError = true };
        try
        {
            using Process process = Process.Start(start)!;
            string said = process.StandardError.ReadToEnd().Trim();
            process.WaitForExit();
            return process.ExitCode == 0 ? null : said;
        }
        catch (Win32Exception error)
        {
            return $"ip: {error.Message}";
        }
    }

    [LibraryImport("libc", EntryPoint = "setns", SetLastError = true)]
    private static partial int Enter(int file, int kind);
}
