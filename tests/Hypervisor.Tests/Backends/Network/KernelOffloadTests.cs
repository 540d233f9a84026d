using System;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Threading;
using Hypervisor.Backends.Network;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Backends.Network;

/// <summary>Two kernels' ends of TCP with our segmentation between them: the receiving one checks each frame.</summary>
public sealed class KernelOffloadTests
{
    [Theory]
    [InlineData("10.78.0.", "/24")]
    [InlineData("fd78::", "/64")]
    public void Kernel_takes_what_we_made_of_its_own_large_packets(string prefix, string bits)
    {
        Assert.SkipWhen(NetworkNamespace.WhyNot() is not null, $"no network namespace: {NetworkNamespace.WhyNot()}");
        using NetworkNamespace sender = new(), receiver = new();
        int large = 0;
        byte[] segment = new byte[NetworkPort.FrameBytesMax];
        TapBackend source = sender.Inside(() => new TapBackend("tap0", 1));
        source.Configure(NetworkOffloads.Checksum | NetworkOffloads.Tcp4 | NetworkOffloads.Tcp6, 1);
        TapBackend target = receiver.Inside(() => new TapBackend("tap0", 1));
        using var cable = new NetworkCable(source, target, (frame, length, send) =>
        {
            var header = VnetHeader.Read(frame);
            Interlocked.Add(ref large, header.GsoType == VnetHeader.GsoNone ? 0 : 1); // read at the end
            SoftwareOffload.Finish(header, frame.AsSpan(VnetHeader.Bytes, length - VnetHeader.Bytes), segment, one =>
            {
                byte[] ready = new byte[VnetHeader.Bytes + one.Length];
                one.CopyTo(ready.AsSpan(VnetHeader.Bytes));
                send(ready);
            });
        });
        SetUp(sender, $"{prefix}1{bits}");
        SetUp(receiver, $"{prefix}2{bits}");
        var address = IPAddress.Parse($"{prefix}2");
        using Socket listener = receiver.Inside(() =>
        {
            var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(address, 4000));
            socket.Listen(1);
            return socket;
        });
        byte[] data = RandomNumberGenerator.GetBytes(4 << 20);
        using Socket sending = sender.Inside(() =>
        {
            var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            socket.SendTimeout = 60_000;
            socket.Connect(address, 4000);
            return socket;
        });
        using Socket receiving = listener.Accept();
        receiving.ReceiveTimeout = 60_000;
        var feeding = new Thread(() =>
        {
            for (int at = 0; at < data.Length;)
            {
                at += sending.Send(data, at, data.Length - at, SocketFlags.None);
            }
        });
        feeding.Start();

        byte[] came = new byte[data.Length];
        for (int at = 0; at < came.Length;)
        {
            int got = receiving.Receive(came, at, came.Length - at, SocketFlags.None);
            Assert.NotEqual(0, got);
            at += got;
        }

        feeding.Join();
        Assert.True(data.AsSpan().SequenceEqual(came));
        Assert.True(Volatile.Read(ref large) > 20, $"{large} large packets"); // pairs with the cable's thread
    }

    private static void SetUp(NetworkNamespace space, string address)
    {
        bool isIpv6 = address.Contains(':', StringComparison.Ordinal);
        space.Configure("link set tap0 up");
        space.Configure($"address add {address} dev tap0{(isIpv6 ? " nodad" : "")}");
    }
}
