using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Standby;

/// <summary>
/// What the standby core has done for it. Called on the session's thread, from inside the core's On… methods.
/// </summary>
/// <remarks>An action never calls back into the core: it posts, and the session calls the core afterwards.</remarks>
internal interface IStandbyActions
{
    /// <summary>Sends on a link, in order; the link owns the message from here on.</summary>
    void Send(int link, Message message);

    /// <summary>Closes a link once what was sent on it is out; no OnLinkLost follows for it.</summary>
    void CloseLink(int link, string reason);

    /// <summary>
    /// Marks this side durably as an incomplete copy (rule 39) that was at a point before, empties the journal for this
    /// incarnation, and answers with OnFullCopyReady. RAM and disks stay as they are.
    /// </summary>
    void BeginFullCopy(HelloMessage hello, ReplicaPoint point);

    /// <summary>
    /// Puts a RamBlock, DiskBlock or DiskWrite of the full copy in its place, in order, and releases it. A DiskDigest
    /// is compared with what is there at its turn, and answered with OnCompared.
    /// </summary>
    void ApplyCopied(Message message);

    /// <summary>
    /// After everything copied is in place: compares the content digests, flushes the disks, marks the copy
    /// complete, and
    /// answers with OnFullCopyFinished. <paramref name="base"/> holds the sections of epoch 0; the core keeps it.
    /// </summary>
    void FinishFullCopy(FullCopyDoneMessage done, StagedEpoch @base);

    /// <summary>
    /// Appends the epoch's disk writes and its commit record to the journal (Disk/EpochJournal.cs), durably
    /// if asked, and answers with OnEpochCommitted. In order; the core never has two on the way.
    /// </summary>
    void CommitEpoch(StagedEpoch epoch, bool isDurable);

    /// <summary>
    /// Applies a committed epoch to RAM and disks and keeps its sections as the latest; answers with
    /// OnEpochApplied, and
    /// releases nothing: the core does. In order; the core never has two on the way.
    /// </summary>
    void ApplyEpoch(StagedEpoch epoch);

    /// <summary>
    /// Flushes every disk and empties the journal (Finish of Disk/EpochJournal.cs), so that no old epoch is ever
    /// replayed
    /// over what the guest writes next; answers with OnDisksFlushed.
    /// </summary>
    void FlushDisks();

    /// <summary>
    /// Writes "promotion to this generation from this epoch" durably beside the disks; answers with
    /// OnGenerationWritten.
    /// </summary>
    void WriteGeneration(ulong generation, ulong epoch);

    /// <summary>
    /// Asks the witness; the outcome comes as OnWitnessAnswer. A rim without a witness answers by itself.
    /// </summary>
    void AskWitness(in WitnessRequest request);

    /// <summary>
    /// Lets out console bytes of a committed epoch that the primary may not have let out. Before GoLive, in order.
    /// </summary>
    void EmitOutput(OutputMessage output);

    /// <summary>
    /// Does to a shared disk what a committed epoch did and the primary may not have done, and releases the message.
    /// Before GoLive, in order: GoLive waits for it, and fails with it. Both wait until the primary has given the disk
    /// up: the witness says that it will not run again, its lock that it does not write any more.
    /// </summary>
    void WriteShared(DiskWriteMessage write);

    /// <summary>
    /// Loads the sections of <paramref name="epoch"/>, the last one applied, and runs the guest from there.
    /// </summary>
    /// <param name="epoch">Where the guest goes on.</param>
    /// <param name="won">The witness's record, which names this side as the runner.</param>
    void GoLive(StagedEpoch epoch, WitnessRecord won);

    /// <summary>
    /// This copy is outdated, failed, or lost the race, and is never promoted: mark the disks. RAM and disks stay as
    /// they are, for a resync.
    /// </summary>
    void Discard(string reason, ReplicaPoint point);
}
