namespace Hypervisor.Replication.Epochs;

/// <summary>Where a primary stands.</summary>
public enum PrimaryState
{
    /// <summary>Asks the witness whether it may run.</summary>
    Starting,

    /// <summary>The guest runs, unprotected.</summary>
    Alone,

    /// <summary>Hello is sent.</summary>
    Pairing,

    /// <summary>RAM and disks go over while the guest runs; output is not held.</summary>
    Copying,

    /// <summary>Cut 0 is requested or on its way; output is held from the cut on.</summary>
    Syncing,

    /// <summary>Every epoch is committed at the standby before its output leaves.</summary>
    Protected,

    /// <summary>The standby is lost; the witness is asked whether to go on (rule 29). The guest stands still.</summary>
    Deciding,

    /// <summary>The standby is lost and by policy the guest stands still until it is back.</summary>
    Waiting,

    /// <summary>The guest ended on purpose; the last epoch, the witness and the standby are told.</summary>
    Ending,

    /// <summary>
    /// A planned switch-over: the guest stands still, its last epoch is committed, then the standby has the word.
    /// </summary>
    SwitchingOver,

    /// <summary>Ended on purpose.</summary>
    Ended,

    /// <summary>The standby runs the guest after a planned switch-over; this side never runs again.</summary>
    HandedOver,

    /// <summary>The other side runs; this one dropped its output and never runs again (rule 28).</summary>
    Demoted,

    /// <summary>Stopped by policy or failure, without a new runner.</summary>
    Stopped,
}
