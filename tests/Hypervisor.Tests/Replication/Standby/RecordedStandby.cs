using System;
using System.Collections.Generic;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;
using Hypervisor.Tests.Replication.Epochs;

namespace Hypervisor.Tests.Replication.Standby;

/// <summary>A standby core whose actions are written down; tests play the primary, the rim and the witness.</summary>
internal sealed class RecordedStandby : IStandbyActions
{
    public const ulong Incarnation = 77;

    private const int Link = 1;

    private static readonly Guid s_primary = Guid.NewGuid();
    private static readonly Guid s_standby = Guid.NewGuid();

    private WitnessRequest _asked;
    private ulong _incarnation = Incarnation;

    public RecordedStandby(WitnessPolicy onWitnessLost = WitnessPolicy.Wait)
    {
        Core = new StandbyCore(
            new StandbyOptions
            {
                Node = s_standby,
                Machine = RecordedPrimary.Machine,
                StagedBytesMax = 1 << 22,
                OnWitnessLost = onWitnessLost,
            },
            this);
        Protect();
    }

    public StandbyCore Core { get; }

    public List<string> Log { get; } = [];

    public List<Message> Sent { get; } = [];

    public long Now { get; set; } = 1_000_000;

    public WitnessRequest Asked => _asked;

    /// <summary>Where the copy stood when it was given up for the last time.</summary>
    public ReplicaPoint Discarded { get; private set; }

    /// <summary>Where the copy stood when the last full copy began.</summary>
    public ReplicaPoint Begun { get; private set; }

    /// <summary>The record of a pair in sync.</summary>
    public static WitnessRecord InSync { get; } = new(
        RecordedPrimary.Machine.PairId, 2, 1, s_primary, s_standby, Incarnation, true, 0, WitnessPhase.Running);

    public void Say(Message message, ulong epoch = 0)
    {
        message.Incarnation = _incarnation;
        message.Epoch = epoch;
        Core.OnMessage(Link, message, Now);
    }

    public void Say(SwitchOverStep step, ulong epoch = 0) => Say(new SwitchOverMessage { Step = step }, epoch);

    public void LoseLink() => Core.OnLinkLost(Link, LinkLoss.ClosedByPeer, "end of stream", Now);

    /// <summary>An empty epoch, committed.</summary>
    public void Commit(ulong epoch)
    {
        Say(new EpochEndMessage { Totals = new EpochDigest().Totals(0), SentNanos = 5, ReleasedEpoch = 0 }, epoch);
        Core.OnEpochCommitted(epoch, null, Now);
    }

    public void Answer(WitnessRecord? record, WitnessOutcome outcome = WitnessOutcome.Done)
        => Core.OnWitnessAnswer(new(_asked.Id, outcome, record), Now);

    void IStandbyActions.Send(int link, Message message) => Sent.Add(message);

    void IStandbyActions.CloseLink(int link, string reason) => Log.Add("close");

    void IStandbyActions.BeginFullCopy(HelloMessage hello, ReplicaPoint point) => Begun = point;

    void IStandbyActions.ApplyCopied(Message message) => message.Release();

    void IStandbyActions.FinishFullCopy(FullCopyDoneMessage done, StagedEpoch @base)
    {
    }

    void IStandbyActions.CommitEpoch(StagedEpoch epoch, bool isDurable) => Log.Add($"commit {epoch.Epoch}");

    void IStandbyActions.ApplyEpoch(StagedEpoch epoch) => Log.Add($"apply {epoch.Epoch}");

    void IStandbyActions.FlushDisks() => Log.Add("flush");

    void IStandbyActions.WriteGeneration(ulong generation, ulong epoch) => Log.Add($"generation {generation}");

    void IStandbyActions.AskWitness(in WitnessRequest request)
    {
        _asked = request;
        Log.Add(request.Desired is null ? "read" : $"swap to {request.Desired.Generation}");
    }

    void IStandbyActions.EmitOutput(OutputMessage output) => Log.Add($"emit {output.Epoch}");

    void IStandbyActions.WriteShared(DiskWriteMessage write) => Log.Add($"shared {write.Epoch}");

    void IStandbyActions.GoLive(StagedEpoch epoch, WitnessRecord won) => Log.Add($"live {won.Generation}");

    void IStandbyActions.Discard(string reason, ReplicaPoint point)
    {
        Discarded = point;
        Log.Add("discard");
    }

    /// <summary>A primary comes, and a full copy begins.</summary>
    public void Pair(ulong incarnation)
    {
        _incarnation = incarnation;
        Core.OnConnected(Link, Now);
        Say(new HelloMessage
        {
            Node = s_primary,
            Generation = 1,
            LeaseNanos = 1,
            EpochsInFlightMax = 2,
            Machine = RecordedPrimary.Machine,
        });
        Core.OnFullCopyReady(null, Now);
    }

    private void Protect()
    {
        Pair(Incarnation);
        Say(new FullCopyDoneMessage { Messages = 0, CopiedBytes = 0, StreamDigest = 0, ContentDigests = [] });
        Core.OnFullCopyFinished(null, Now);
        Log.Clear();
        Sent.Clear();
    }
}
