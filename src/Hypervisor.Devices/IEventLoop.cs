namespace Hypervisor.Devices;

/// <summary>The machine's event loop as devices and backends see it.</summary>
public interface IEventLoop
{
    /// <summary>
    /// Queues <paramref name="work"/> to run on the event-loop thread with the bus lock held, while the machine is not
    /// paused. Any thread; never blocks; order is kept.
    /// </summary>
    void Post(IPostedWork work);
}

/// <summary>Something to do on the event loop; an object that exists anyway, so that posting allocates
/// nothing.</summary>
public interface IPostedWork
{
    /// <summary>Runs on the event-loop thread with the bus lock held.</summary>
    void RunPosted();
}
