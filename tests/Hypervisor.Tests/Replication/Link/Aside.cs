using System;
using System.Threading;
using Xunit;

namespace Hypervisor.Tests.Replication.Link;

/// <summary>Something that goes on beside a test, on a thread of its own: handshakes block.</summary>
internal sealed class Aside
{
    private const int PatienceMillis = 20_000;
    private readonly Thread _thread;

    public Aside(Action action)
    {
        _thread = new Thread(() => action()) { Name = "aside", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Waits for its end.</summary>
    public void Join() => Assert.True(_thread.Join(PatienceMillis), "it hangs");
}
