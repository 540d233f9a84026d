namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>What happens to a primary.</summary>
internal enum TakeoverFault
{
    /// <summary>SIGKILL.</summary>
    Kill,

    /// <summary>SIGSTOP, and SIGCONT when the guest runs elsewhere.</summary>
    Hang,

    /// <summary>Its host's cable is pulled, and plugged in again when the guest runs elsewhere.</summary>
    Cut,

    /// <summary>Nothing reaches its host any more; what it sends arrives.</summary>
    Deaf,

    /// <summary>Nothing leaves its host any more; what others send arrives.</summary>
    Mute,

    /// <summary>Everything to and from its host comes seconds late.</summary>
    Late,

    /// <summary>Most frames to and from its host are lost. Either side may win at the witness.</summary>
    Storm,

    /// <summary>
    /// The standby's disk is full: the primary goes on alone. Then there is room, the guest is protected again, and the
    /// primary is killed.
    /// </summary>
    Full,
}
