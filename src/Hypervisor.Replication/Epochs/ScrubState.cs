namespace Hypervisor.Replication.Epochs;

/// <summary>How far a comparison of all RAM and all disks is.</summary>
public enum ScrubState
{
    /// <summary>None was asked for.</summary>
    None,

    /// <summary>Ranges are being compared.</summary>
    Running,

    /// <summary>Everything was the same.</summary>
    Same,

    /// <summary>Protection ended before; the reason says whether because of a difference.</summary>
    Ended,
}
