using System;
using System.Text;

namespace Hypervisor.Control;

/// <summary>What an HTTP request asks for, and what it is answered. Spec: RFC 9112, sections 2 and 3.</summary>
internal static class HttpRequestHead
{
    /// <summary>Longest request line and headers together.</summary>
    public const int BytesMax = 8 << 10;

    private const string Page = "/metrics";

    /// <summary>Whether the head is all there: an empty line follows it.</summary>
    public static bool IsComplete(ReadOnlySpan<byte> received)
        => received.IndexOf("\r\n\r\n"u8) >= 0 || received.IndexOf("\n\n"u8) >= 0;

    /// <summary>The status that a request gets.</summary>
    /// <returns>200 for `GET /metrics`; 400, 404 or 405 for all else.</returns>
    public static int StatusOf(ReadOnlySpan<byte> head)
    {
        int end = head.IndexOf((byte)'\n');
        string line = Encoding.Latin1.GetString(end < 0 ? head : head[..end]).TrimEnd('\r');
        string[] parts = line.Split(' ');
        if (parts is not [{ Length: > 0 } method, { Length: > 0 } target, "HTTP/1.0" or "HTTP/1.1"])
        {
            return 400;
        }

        if (target.Split('?')[0] != Page)
        {
            return 404;
        }

        return method == "GET" ? 200 : 405;
    }

    /// <summary>A whole response; the connection is closed behind it.</summary>
    /// <param name="status">One of those of this class, 408 or 431.</param>
    /// <param name="metrics">What a 200 carries.</param>
    public static byte[] Respond(int status, Func<string> metrics)
    {
        (string reason, string body) = status switch
        {
            200 => ("OK", metrics()),
            404 => ("Not Found", "allowed: /metrics\n"),
            405 => ("Method Not Allowed", "allowed: GET\n"),
            408 => ("Request Timeout", "the request did not come in time\n"),
            431 => ("Request Header Fields Too Large", $"allowed: {BytesMax} bytes\n"),
            _ => ("Bad Request", "allowed: GET /metrics HTTP/1.1\n"),
        };
        string type = status == 200 ? "text/plain; version=0.0.4; charset=utf-8" : "text/plain; charset=utf-8";
        string allow = status == 405 ? "Allow: GET\r\n" : "";
        int lengthBytes = Encoding.UTF8.GetByteCount(body);
        return Encoding.UTF8.GetBytes(
            $"HTTP/1.1 {status} {reason}\r\nContent-Type: {type}\r\nContent-Length: {lengthBytes}\r\n{allow}"
            + $"Connection: close\r\n\r\n{body}");
    }
}
