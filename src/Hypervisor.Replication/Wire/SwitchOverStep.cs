namespace Hypervisor.Replication.Wire;

/// <summary>A step of a planned switch-over. The number is the wire value.</summary>
internal enum SwitchOverStep : byte
{
    /// <summary>Primary to standby: somebody asked for it here; are you ready?</summary>
    Offer = 1,

    /// <summary>Standby to primary: the witness answers and names me as in sync; make the last epoch.</summary>
    Ready = 2,

    /// <summary>
    /// Primary to standby: the guest stands still, the epoch in the header is its last one here, all its output is out.
    /// </summary>
    Go = 3,

    /// <summary>Standby to primary: the witness names me as the runner.</summary>
    Done = 4,

    /// <summary>Either way, before Go: not now, for this reason; protection goes on.</summary>
    Refused = 5,
}
