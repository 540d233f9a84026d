using System.Threading;
using Hypervisor.Backends.Network;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Backends.Network;

public sealed class TapBackendTests
{
    [Fact]
    public void Receiver_of_a_deleted_interface_waits_for_the_end_and_does_not_spin()
    {
        Assert.SkipWhen(NetworkNamespace.WhyNot() is not null, $"no network namespace: {NetworkNamespace.WhyNot()}");
        using var space = new NetworkNamespace();
        using TapBackend tap = space.Inside(() => new TapBackend("tap0", 1));
        byte[] frame = new byte[NetworkPort.FrameBytesMax];
        int returned = 0;
        int last = 0;
        var receiver = new Thread(() =>
        {
            while ((last = tap.Receive(0, frame)) >= 0)
            {
                Interlocked.Increment(ref returned);
            }
        });
        receiver.Start();

        space.Configure("link del tap0");
        bool isOver = receiver.Join(200); // what spins returns millions of times meanwhile
        int before = Volatile.Read(ref returned);
        tap.Stop();
        receiver.Join();

        Assert.False(isOver);
        Assert.InRange(before, 0, 10);
        Assert.Equal(-1, last);
    }
}
