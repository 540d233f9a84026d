using System;
using System.IO;
using System.Net.Sockets;
using System.Text;
using Hypervisor.CommandLine;

namespace Hypervisor.Control;

/// <summary>The control socket as a file: made, replaced and removed so that nobody is cut off by mistake.</summary>
internal static class ControlSocket
{
    /// <summary>
    /// Longest path in bytes: of the 107 that the host takes, five are for its name before it is ready.
    /// </summary>
    public const int PathBytesMax = 100;

    private const int NoSuchDevice = 6; // ENXIO

    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>Checks a path as typed.</summary>
    /// <exception cref="UsageException">It cannot be the path of a socket.</exception>
    public static string CheckPath(string path)
    {
        int lengthBytes = Encoding.UTF8.GetByteCount(path);
        return lengthBytes is > 0 and <= PathBytesMax && !path.Contains('\0', StringComparison.Ordinal)
            ? path
            : throw new UsageException(
                $"--control: a path of {lengthBytes} bytes cannot name a socket; allowed: 1 to {PathBytesMax} bytes");
    }

    /// <summary>Listens at <paramref name="path"/>, for this user alone.</summary>
    /// <exception cref="FailureException">Somebody answers there, it is no socket, or the host refuses.</exception>
    public static Socket Listen(string path, int backlog)
    {
        Socket? socket = null;
        string unready = path + "." + Path.GetRandomFileName()[..4];
        try
        {
            socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.Bind(new UnixDomainSocketEndPoint(unready));
            if (!OperatingSystem.IsWindows()) // for the analyzer: nothing of this runs there
            {
                File.SetUnixFileMode(unready, OwnerOnly);
            }

            socket.Listen(backlog); // only now anybody could connect
            RemoveStale(path);
            File.Move(unready, path); // never over another: who came in between keeps it
            return socket;
        }
        catch (Exception error) when (error is IOException or SocketException or UnauthorizedAccessException)
        {
            Discard(socket, unready);
            string why = error is SocketException { SocketErrorCode: SocketError.AddressNotAvailable }
                ? "no such folder" : HostErrors.Explain(error, path);
            throw new FailureException($"--control {path}: {why}; allowed: a new path in a folder of yours");
        }
        catch (FailureException)
        {
            Discard(socket, unready);
            throw;
        }
    }

    /// <summary>Connects to a guest.</summary>
    /// <exception cref="FailureException">Nobody is there.</exception>
    public static Socket Connect(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return socket;
        }
        catch (SocketException error)
        {
            socket.Dispose();
            string why = error.SocketErrorCode switch
            {
                SocketError.ConnectionRefused => "nobody listens there any more",
                SocketError.AddressNotAvailable => "no such socket",
                SocketError.AccessDenied => "permission denied",
                _ => HostErrors.OneLine(error.Message),
            };
            throw new FailureException($"--control {path}: {why}; allowed: the --control of a running guest");
        }
    }

    private static void RemoveStale(string path)
    {
        if (!Path.Exists(path))
        {
            return;
        }

        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException error) when (error.SocketErrorCode == SocketError.ConnectionRefused && IsSocket(path))
        {
            File.Delete(path); // whoever made it was killed
            return;
        }
        catch (SocketException)
        {
            // a plain file, or another user's
        }

        throw new FailureException(probe.Connected
            ? $"--control {path}: another guest answers there; allowed: a path of its own"
            : $"--control {path}: the file exists and is no socket of ours; allowed: a new path");
    }

    // Connecting to any other file is refused in the same words, but only a socket cannot be opened at all. For reading
    // and writing, because that does not wait at a pipe.
    private static bool IsSocket(string path)
    {
        try
        {
            File.Open(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite).Dispose();
            return false;
        }
        catch (IOException error)
        {
            return error.HResult == NoSuchDevice;
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static void Discard(Socket? socket, string path)
    {
        socket?.Dispose();
        if (Path.Exists(path))
        {
            File.Delete(path);
        }
    }
}
