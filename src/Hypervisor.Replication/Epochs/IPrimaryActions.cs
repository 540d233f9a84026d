using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Epochs;

/// <summary>
/// What the primary core has done for it. Called on the session's thread, from inside the core's On… methods.
/// </summary>
/// <remarks>An action never calls back into the core: it posts, and the session calls the core afterwards.</remarks>
internal interface IPrimaryActions
{
    /// <summary>Sends on the current link, in order; the link owns the message from here on.</summary>
    void Send(Message message);

    /// <summary>Closes the current link, if any; no OnLinkLost follows for it.</summary>
    void CloseLink(string reason);

    /// <summary>
    /// Begins to copy what the standby misses of RAM and disks while the guest runs (OnCopied…, OnCopyConverged) and to
    /// tag disk writes with epoch 0 (OnDiskWrite). A range of a disk is read and handed over while writes to it are
    /// held off, so that the order of the calls is the order on the disk.
    /// </summary>
    /// <param name="welcome">
    /// Of the standby. What it names as doubtful is to be copied besides; it may name what does not exist.
    /// </param>
    /// <param name="plan">What is missing.</param>
    /// <remarks>
    /// A disk that has, or is about to have, another size than the Hello said fails the copy: nothing would tell the
    /// standby of it. Writes that are tagged when they are submitted: those in flight at this moment are tagged now,
    /// before any newer one.
    /// </remarks>
    void StartFullCopy(WelcomeMessage welcome, in ResyncPlan plan);

    /// <summary>
    /// The standby compared a range whose digest was handed over (OnCopied): what is not the same is to be copied.
    /// </summary>
    void ContinueCopy(DiskRange range, bool isSame);

    /// <summary>
    /// Cuts: pauses, captures, installs outbox and write tag <paramref name="epoch"/> + 1, resumes, and posts
    /// OnCutTaken
    /// behind the last disk write with tag <paramref name="epoch"/>. Then OnCaptured…, OnCaptureDone.
    /// </summary>
    void RequestCut(ulong epoch);

    /// <summary>Posts OnGuestIdle with this epoch once no vCPU has anything to do; a newer request counts.</summary>
    void TellIdle(ulong epoch);

    /// <summary>
    /// Begins to read all disks and all RAM at this rate, and to hand them over (OnScrubRead…, OnScrubSent): a disk
    /// like in the full copy, in order with the guest's writes; RAM after a cut's own RAM, before OnCaptureDone.
    /// StopCapture ends it.
    /// </summary>
    void StartScrub(long bytesPerSecond);

    /// <summary>
    /// The scrub is over, after so many bytes: everything was the same (null), or protection ended for this reason.
    /// </summary>
    void EndScrub(string? reason, long sentBytes);

    /// <summary>Lets out everything held up to and including <paramref name="epoch"/>, in order.</summary>
    void ReleaseOutput(ulong epoch);

    /// <summary>
    /// Lets out everything held, in order, and holds nothing from now on: the guest runs unprotected.
    /// </summary>
    void PassOutput();

    /// <summary>Throws away everything held, and everything that still comes (rule 3).</summary>
    void DropOutput();

    /// <summary>
    /// Ends the full copy or the protection: no tagging, no captures, no cuts; a running one is given up.
    /// </summary>
    void StopCapture();

    /// <summary>Stops the vCPUs for a while (buffers full, arbitration pending), or lets them go on.</summary>
    void HoldGuest(bool isHeld);

    /// <summary>The guest must never run here again.</summary>
    void StopGuest(string reason);

    /// <summary>The guest may run: the witness names this side. Called once, in reply to Start.</summary>
    void StartGuest(ulong generation);

    /// <summary>
    /// Asks the witness; the outcome comes as OnWitnessAnswer. A rim without a witness answers by itself.
    /// </summary>
    void AskWitness(in WitnessRequest request);
}
