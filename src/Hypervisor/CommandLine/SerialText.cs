using System;
using System.Collections.Generic;
using Hypervisor.Machine;

namespace Hypervisor.CommandLine;

/// <summary>`--serial stdio|null|file:PATH|tcp:HOST:PORT[,server[,nowait]]`.</summary>
internal static class SerialText
{
    private const int SerialCountMax = 4; // COM1 to COM4
    private const string Allowed = "allowed: stdio, null, file:PATH, tcp:HOST:PORT[,server[,nowait]]";

    /// <summary>Parses every `--serial`, in order of the COM ports, then the virtio console.</summary>
    /// <param name="texts">What the serial lines are.</param>
    /// <param name="consoleOption">Name of the option that says what the virtio console is.</param>
    /// <param name="console">That; null: there is none.</param>
    /// <exception cref="UsageException">A word that is not understood, or standard input wanted twice.</exception>
    public static List<SerialConfig> ParseAll(IReadOnlyList<string> texts, string consoleOption, string? console)
    {
        List<SerialConfig> serials = [];
        foreach (string text in texts)
        {
            SerialConfig serial = Parse($"--serial {text}", text);
            if (serial.Kind == SerialKind.Stdio && serials.Exists(other => other.Kind == SerialKind.Stdio))
            {
                throw new UsageException("--serial stdio: standard input is taken; allowed: once");
            }

            serials.Add(serial);
        }

        if (serials.Count > SerialCountMax)
        {
            throw new UsageException(
                $"--serial: {serials.Count} serial lines are too many; allowed: {SerialCountMax}");
        }

        if (console is not null)
        {
            SerialConfig virtio = Parse($"{consoleOption} {console}", console) with { IsVirtio = true };
            if (virtio.Kind == SerialKind.Stdio && serials.Exists(other => other.Kind == SerialKind.Stdio))
            {
                throw new UsageException($"{consoleOption} stdio: standard input is taken; allowed: once");
            }

            serials.Add(virtio);
        }

        return serials;
    }

    /// <summary>Writes a serial line as an option's value, such that <see cref="ParseAll"/> reads it back.</summary>
    public static string Write(SerialConfig serial) => serial.Kind switch
    {
        SerialKind.Null => "null",
        SerialKind.Stdio => "stdio",
        SerialKind.File => $"file:{serial.Target}",
        SerialKind.Tcp => $"tcp:{new Endpoint(serial.Target, serial.Port)}"
            + (serial.IsServer ? ",server" : "")
            + (serial.IsServer && !serial.WaitsForPeer ? ",nowait" : ""),
    };

    private static SerialConfig Parse(string where, string text)
    {
        switch (text)
        {
            case "stdio":
                return new SerialConfig(SerialKind.Stdio);
            case "null" or "none":
                return new SerialConfig(SerialKind.Null);
        }

        if (text.StartsWith("file:", StringComparison.Ordinal) && text.Length > "file:".Length)
        {
            return new SerialConfig(SerialKind.File, text["file:".Length..]);
        }

        return text.StartsWith("tcp:", StringComparison.Ordinal)
            ? ParseTcp(where, text["tcp:".Length..])
            : throw new UsageException($"{where}: not understood; {Allowed}");
    }

    private static SerialConfig ParseTcp(string where, string text)
    {
        string[] parts = text.Split(',');
        Endpoint endpoint = Endpoint.Parse(where, parts[0]);
        bool isServer = false, waits = true;
        foreach (string part in parts.AsSpan(1))
        {
            switch (part)
            {
                case "server" or "server=on":
                    isServer = true;
                    break;
                case "nowait" or "wait=off":
                    waits = false;
                    break;
                default:
                    throw new UsageException($"{where}: '{part}' is not understood; {Allowed}");
            }
        }

        return new SerialConfig(SerialKind.Tcp, endpoint.Host, endpoint.Port, isServer, isServer && waits);
    }
}
