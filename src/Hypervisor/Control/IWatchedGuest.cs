using Hypervisor.Sessions;

namespace Hypervisor.Control;

/// <summary>A guest as it is seen and ended from outside. Called on any thread; must be quick.</summary>
internal interface IWatchedGuest
{
    /// <summary>Everything that there is to see now.</summary>
    GuestStatus Status();

    /// <summary>Asks for an end in order, with the reason.</summary>
    void Stop(string reason);

    /// <summary>Asks for the other half's place: a standby runs the guest, a primary hands it over.</summary>
    /// <returns>Null when it was asked; else why it cannot be, and what is allowed.</returns>
    string? TakeOver();

    /// <summary>Asks a primary to compare everything with its standby, at a rate.</summary>
    /// <returns>Null when it was asked; else why it cannot be, and what is allowed.</returns>
    string? Scrub(long bytesPerSecond);

    /// <summary>Begins a drill: a copy of the guest that is thrown away.</summary>
    /// <param name="terms">What it is to be.</param>
    /// <param name="drill">The drill, which has begun; null when it has not.</param>
    /// <returns>Null when it has begun; else why not, and what is allowed.</returns>
    string? StartDrill(DrillTerms terms, out StandbyDrill? drill)
    {
        drill = null;
        return "drill: the guest runs here; allowed: a standby that is protecting";
    }

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
