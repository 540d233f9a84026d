using System;
using System.Threading;
using Hypervisor.Backends.Network;

namespace Hypervisor.TestKit;

/// <summary>Joins two backends: what comes from one goes to the other.</summary>
public sealed class NetworkCable : IDisposable
{
    private readonly INetworkBackend[] _ends;
    private readonly Thread[] _threads;

    /// <summary>Plugs both ends in, and owns them.</summary>
    /// <param name="one">One end.</param>
    /// <param name="other">The other one.</param>
    /// <param name="carry">
    /// Does something to a frame from <paramref name="one"/> and hands on what is to go; null: as it is.
    /// </param>
    public NetworkCable(
        INetworkBackend one, INetworkBackend other, Action<byte[], int, Action<ReadOnlySpan<byte>>>? carry = null)
    {
        _ends = [one, other];
        _threads =
        [
            new Thread(() => Carry(one, other, carry ?? AsItIs)) { IsBackground = true },
            new Thread(() => Carry(other, one, AsItIs)) { IsBackground = true },
        ];
        Array.ForEach(_ends, end => end.Start());
        Array.ForEach(_threads, thread => thread.Start());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Array.ForEach(_ends, end => end.Stop());
        Array.ForEach(_threads, thread => thread.Join());
        Array.ForEach(_ends, end => end.Dispose());
    }

    private static void AsItIs(byte[] frame, int lengthBytes, Action<ReadOnlySpan<byte>> send)
        => send(frame.AsSpan(0, lengthBytes));

    private static void Carry(
        INetworkBackend source, INetworkBackend target, Action<byte[], int, Action<ReadOnlySpan<byte>>> carry)
    {
        byte[] frame = new byte[NetworkPort.FrameBytesMax];
        int length;
        while ((length = source.Receive(0, frame)) >= 0)
        {
            if (length > VnetHeader.Bytes)
            {
                carry(frame, length, bytes => target.Send(0, bytes));
            }
        }
    }
}
