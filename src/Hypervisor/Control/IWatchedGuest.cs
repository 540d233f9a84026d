namespace Hypervisor.Control;

/// <summary>A guest as it is seen and ended from outside. Called on any thread; must be quick.</summary>
internal interface IWatchedGuest
{
    /// <summary>Everything that there is to see now.</summary>
    GuestStatus Status();

    /// <summary>Asks for an end in order, with the reason.</summary>
    void Stop(string reason);

    /// <summary>Asks a standby to run the guest here.</summary>
    /// <returns>Null when it was asked; else why it cannot be, and what is allowed.</returns>
    string? TakeOver();

    /// <summary>Asks the guest to live with so many bytes of its memory.</summary>
    /// <returns>Null when it was asked; else why it cannot be, and what is allowed.</returns>
    string? SetMemory(long bytes);

    /// <summary>Gives a disk another size, from soon on.</summary>
    /// <param name="disk">Its id.</param>
    /// <param name="bytes">Its size.</param>
    /// <param name="shrinks">Whether it may become smaller.</param>
    /// <returns>Null when it was asked; else why it cannot be, and what is allowed.</returns>
    string? Resize(string disk, long bytes, bool shrinks);
}
