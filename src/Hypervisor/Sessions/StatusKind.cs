namespace Hypervisor.Sessions;

/// <summary>What a <see cref="StatusEvent"/> tells.</summary>
internal enum StatusKind
{
    /// <summary>A standby waits for its primary at <see cref="StatusEvent.Port"/>.</summary>
    Listening,

    /// <summary>
    /// The first full copy goes on: <see cref="StatusEvent.DoneBytes"/> of <see cref="StatusEvent.TotalBytes"/>.
    /// </summary>
    Copying,

    /// <summary>An epoch was acknowledged; sent now and then, with the latest numbers.</summary>
    Epoch,

    /// <summary>The standby decided to take over from <see cref="StatusEvent.Epoch"/> on.</summary>
    Takeover,

    /// <summary>vCPUs run, from <see cref="StatusEvent.AtNanos"/> on.</summary>
    Running,

    /// <summary>The guest goes on without protection; <see cref="StatusEvent.Message"/> says why.</summary>
    Unprotected,

    /// <summary>The machine ended; <see cref="StatusEvent.Message"/> says why.</summary>
    Ended,
}
