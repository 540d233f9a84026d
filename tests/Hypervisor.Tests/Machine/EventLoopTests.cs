using System.Threading;
using Hypervisor.Core.Time;
using Hypervisor.Devices;
using Hypervisor.Machine;
using Xunit;

namespace Hypervisor.Tests.Machine;

public sealed class EventLoopTests
{
    private const int WaitMillisMax = 60_000;

    [Fact]
    public void Work_that_posts_itself_again_holds_up_neither_the_bus_nor_timers()
    {
        var busLock = new Lock();
        var clock = new GuestClock(new HostClock());
        var timers = new GuestTimers(clock);
        using var isExpired = new ManualResetEventSlim();
        GuestTimer timer = timers.Create(isExpired.Set);
        using var loop = new EventLoop(busLock, timers, "test");
        clock.Start();
        loop.Start();
        var endless = new Endless(loop);
        loop.Post(endless);
        Assert.True(SpinWait.SpinUntil(() => endless.Runs > 100, WaitMillisMax));

        Assert.True(busLock.TryEnter(WaitMillisMax));
        timer.Arm(clock.NowNanos + 1_000_000);
        busLock.Exit();
        Assert.True(isExpired.Wait(WaitMillisMax, TestContext.Current.CancellationToken));
        for (int i = 0; i < 20; i++)
        {
            Assert.True(busLock.TryEnter(WaitMillisMax));
            busLock.Exit();
        }

        endless.IsOver = true;
        loop.Stop(waits: true);
    }

    private sealed class Endless(IEventLoop loop) : IPostedWork
    {
        public volatile bool IsOver;
        public volatile int Runs;

        public void RunPosted()
        {
            Runs++;
            if (!IsOver)
            {
                loop.Post(this);
            }
        }
    }
}
