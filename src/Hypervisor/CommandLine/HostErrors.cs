using System;
using System.IO;
using System.Net.Sockets;

namespace Hypervisor.CommandLine;

/// <summary>Says in few words what the host refused.</summary>
internal static class HostErrors
{
    /// <summary>One phrase without the path, which the caller has named.</summary>
    public static string Explain(Exception error, string path) => error switch
    {
        FileNotFoundException or DirectoryNotFoundException => "no such file",
        UnauthorizedAccessException when Directory.Exists(path) => "is a directory; allowed: a file",
        UnauthorizedAccessException => "permission denied",
        SocketException socket => socket.SocketErrorCode switch
        {
            SocketError.AddressAlreadyInUse => "the port is in use; allowed: a free one",
            SocketError.ConnectionRefused => "nobody listens there (connection refused)",
            SocketError.HostNotFound => "no such host",
            _ => OneLine(socket.Message),
        },
        _ => OneLine(error.Message),
    };

    /// <summary>The text with line ends turned into spaces.</summary>
    public static string OneLine(string text) => text.ReplaceLineEndings(" ").Trim();
}
