using System;
using System.Collections.Generic;
using Hypervisor.Backends.Console;
using Hypervisor.Core.Host;
using Hypervisor.Machine;

namespace Hypervisor.Sessions;

/// <summary>Opens the host's ends of serial lines.</summary>
internal static class SerialStreams
{
    /// <summary>Opens all of them, or none.</summary>
    /// <exception cref="HostException">A file or a port cannot be used.</exception>
    public static List<IByteStream> Open(IReadOnlyList<SerialConfig> serials, Action<EscapeCommand> onCommand)
    {
        List<IByteStream> streams = [];
        try
        {
            foreach (SerialConfig serial in serials)
            {
                streams.Add(Open(serial, onCommand));
            }
        }
        catch (HostException)
        {
            streams.ForEach(stream => stream.Dispose());
            throw;
        }

        return streams;
    }

    private static IByteStream Open(SerialConfig serial, Action<EscapeCommand> onCommand) => serial.Kind switch
    {
        SerialKind.Null => new NullStream(),
        SerialKind.Stdio => new StdioStream(onCommand),
        SerialKind.File => new FileSinkStream(serial.Target),
        SerialKind.Tcp when serial.IsServer => TcpStream.Listen(serial.Target, serial.Port, serial.WaitsForPeer),
        SerialKind.Tcp => TcpStream.Call(serial.Target, serial.Port),
    };
}
