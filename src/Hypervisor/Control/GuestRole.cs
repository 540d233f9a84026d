namespace Hypervisor.Control;

/// <summary>What a process is to its guest.</summary>
internal enum GuestRole
{
    /// <summary>It runs the guest, and nobody else could.</summary>
    Alone,

    /// <summary>It runs the guest and looks after a standby, or for one.</summary>
    Primary,

    /// <summary>It holds a copy of a guest that runs elsewhere.</summary>
    Standby,
}
