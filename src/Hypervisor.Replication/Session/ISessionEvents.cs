namespace Hypervisor.Replication.Session;

/// <summary>
/// What a session tells the program. Called on the session's threads: must be quick, and must not call back.
/// </summary>
public interface ISessionEvents
{
    /// <summary>The state changed, or a connection was refused: one line for people.</summary>
    void OnState(string line);

    /// <summary>Full copy: bytes done of all RAM and disks.</summary>
    void OnCopyProgress(long doneBytes, long totalBytes);

    /// <summary>
    /// At a takeover, console bytes were repeated that the primary may have let out as well: they are at this offset of
    /// all that the stream sent there, so a collector can drop what it has (rule 5).
    /// </summary>
    void OnOutputRepeated(int stream, long offsetBytes, int lengthBytes);

    /// <summary>The guest runs here from now on, in this generation.</summary>
    void OnGuestRunning(ulong generation);

    /// <summary>The session is over.</summary>
    /// <param name="isPlanned">Whether it ended on purpose; else the guest may not go on here.</param>
    /// <param name="reason">Why, for people.</param>
    void OnEnded(bool isPlanned, string reason);
}
