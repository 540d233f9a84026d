using System.Collections.Generic;
using System.Linq;
using Hypervisor.Control;
using Hypervisor.Sessions;
using Xunit;

namespace Hypervisor.Tests.Control;

public sealed class EventFeedTests
{
    private readonly EventFeed _feed = new();

    [Fact]
    public void History_keeps_the_last_64()
    {
        for (int i = 0; i < EventFeed.HistoryMax + 10; i++)
        {
            _feed.Publish(new StatusEvent(StatusKind.State, i));
        }

        Assert.Equal(Enumerable.Range(10, EventFeed.HistoryMax).Select(i => (long)i), History().Select(e => e.AtNanos));
    }

    [Fact]
    public void Row_of_epochs_is_one_entry_of_the_history()
    {
        _feed.Publish(new StatusEvent(StatusKind.State, 0));
        _feed.Publish(new StatusEvent(StatusKind.Epoch, 0) { Epoch = 1 });
        _feed.Publish(new StatusEvent(StatusKind.Epoch, 0) { Epoch = 2 });
        _feed.Publish(new StatusEvent(StatusKind.State, 0));
        _feed.Publish(new StatusEvent(StatusKind.Epoch, 0) { Epoch = 3 });

        Assert.Equal([0L, 2L, 0L, 3L], History().Select(e => e.Epoch));
    }

    [Fact]
    public void Last_line_leaves_epochs_and_progress_out()
    {
        _feed.Publish(new StatusEvent(StatusKind.State, 0) { Message = "said" });
        _feed.Publish(new StatusEvent(StatusKind.Epoch, 0) { Message = "epoch" });
        _feed.Publish(new StatusEvent(StatusKind.Copying, 0));

        Assert.Equal("said", _feed.LastLine);
    }

    [Fact]
    public void Listener_gets_what_it_does_not_take_at_once_up_to_a_bound()
    {
        using EventSubscription listener = _feed.Subscribe(out _);

        for (int i = 0; i < 256; i++)
        {
            _feed.Publish(new StatusEvent(StatusKind.State, i));
        }

        Assert.False(listener.IsOverrun);
        _feed.Publish(new StatusEvent(StatusKind.State, 256));
        Assert.True(listener.IsOverrun);
    }

    [Fact]
    public void Feed_that_is_closed_takes_nothing_and_its_listeners_come_to_an_end()
    {
        using EventSubscription early = _feed.Subscribe(out _);
        _feed.Publish(new StatusEvent(StatusKind.State, 1));
        _feed.Close();
        _feed.Publish(new StatusEvent(StatusKind.State, 2));
        using EventSubscription late = _feed.Subscribe(out IReadOnlyList<StatusEvent> history);

        Assert.True(early.TryTake(0, out _));
        Assert.True(early.IsOver);
        Assert.True(late.IsOver);
        _ = Assert.Single(history);
    }

    private IReadOnlyList<StatusEvent> History()
    {
        using EventSubscription listener = _feed.Subscribe(out IReadOnlyList<StatusEvent> history);
        return history;
    }
}
