using System;
using System.Threading;
using Hypervisor.Core.Memory;
using Xunit;

namespace Hypervisor.Tests.Core.Memory;

public sealed unsafe class GuestRamTests
{
    private const int Page = 3;
    private const long Offset = Page * PageKernels.PageBytes;

    // While the page is copied another vCPU begins to hold code of it.
    [Fact]
    public void Watcher_of_a_flag_that_is_set_during_the_store_is_told()
    {
        using var ram = new GuestRam(GuestRam.BytesMin);
        int told = 0;
        ram.WatchCode(new Watcher(() => told++));
        ram.WatchCopies(new Watcher(() =>
        {
            ram.ClearFlags(Page, PageState.CopyPending);
            ram.SetFlags(Page, PageState.Code);
        }));
        ram.SetFlags(Page, PageState.CopyPending);

        ram.PrepareWrite(Offset, 8);

        Assert.Equal(1, told);
        Assert.Equal(PageState.Dirty | PageState.Code, (PageState)ram.States[Page]);
    }

    [Fact]
    public void Watcher_that_clears_its_flag_is_told_once()
    {
        using var ram = new GuestRam(GuestRam.BytesMin);
        int told = 0;
        ram.WatchCode(new Watcher(() =>
        {
            told++;
            ram.ClearFlags(Page, PageState.Code);
        }));
        ram.SetFlags(Page, PageState.Code);

        ram.PrepareWrite(Offset, 8);

        Assert.Equal(1, told);
        Assert.Equal(PageState.Dirty, (PageState)ram.States[Page]);
    }

    [Fact]
    public void Page_that_two_threads_store_to_for_the_first_time_is_dirty_and_keeps_its_flags()
    {
        using var ram = new GuestRam(GuestRam.BytesMin);
        int told = 0;
        ram.WatchCode(new Watcher(() => Interlocked.Increment(ref told)));
        using var start = new Barrier(2);
        void Store()
        {
            for (int round = 0; round < 10_000; round++)
            {
                start.SignalAndWait();
                ram.PrepareWrite(Offset, 8);
                start.SignalAndWait();
                Assert.Equal(PageState.Dirty | PageState.Code, (PageState)ram.States[Page]);
                start.SignalAndWait();
                ram.ClearFlags(Page, PageState.Dirty);
            }
        }

        ram.SetFlags(Page, PageState.Code);
        var other = new Thread(Store);
        other.Start();
        Store();
        other.Join();

        Assert.InRange(told, 20_000, 60_000); // once each, and again when the other was faster
    }

    private sealed class Watcher(Action action) : IPageWatcher
    {
        public void BeforeWrite(long ramOffset, int lengthBytes) => action();
    }
}
