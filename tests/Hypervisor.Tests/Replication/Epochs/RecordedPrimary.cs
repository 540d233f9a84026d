using System;
using System.Collections.Generic;
using System.Linq;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Tests.Replication.Epochs;

/// <summary>A primary core whose actions are written down; tests play the rim, the standby and the witness.</summary>
internal sealed class RecordedPrimary : IPrimaryActions
{
    public const ulong Incarnation = 77;

    public static readonly MachineIdentity Machine = new(
        new Guid("cccccccc-0000-0000-0000-000000000003"),
        new Guid("cccccccc-0000-0000-0000-000000000004"),
        "pc-1",
        "x86-64-v3",
        1 << 20,
        [new DiskIdentity("vda", 4096)],
        [new SectionFormat(1, 0, 1)]);

    private WitnessRequest _asked;

    public RecordedPrimary(
        StandbyLossPolicy onStandbyLost = StandbyLossPolicy.Alone,
        WitnessPolicy onWitnessLost = WitnessPolicy.Wait,
        long outputEpochNanos = 50_000_000,
        PaceOptions? pace = null)
    {
        Core = new PrimaryCore(
            new PrimaryOptions
            {
                Node = Guid.NewGuid(),
                Machine = Machine,
                OnStandbyLost = onStandbyLost,
                OnWitnessLost = onWitnessLost,
                OutputEpochNanos = outputEpochNanos,
                Pace = pace,
            },
            this);
    }

    public PrimaryCore Core { get; }

    public List<string> Log { get; } = [];

    public List<Message> Sent { get; } = [];

    public WitnessRecord? Record { get; private set; }

    public long Now { get; set; } = 1_000_000;

    public WitnessRequest Asked => _asked;

    /// <summary>Goes through claim, pairing and full copy.</summary>
    public RecordedPrimary Protect()
    {
        Start();
        Pair();
        Core.OnMessage(new FullCopyAckMessage { Incarnation = Incarnation }, Now);
        AnswerWitness();
        return this;
    }

    public RecordedPrimary Start()
    {
        Core.Start(Now);
        AnswerWitness();
        AnswerWitness();
        return this;
    }

    public void Pair()
    {
        Core.OnConnected(Incarnation, Now);
        Core.OnMessage(Welcome(), Now);
        Core.OnCopyConverged(Now);
        Core.OnCutTaken(0, Now);
        Core.OnCaptureDone(0, [], Now);
    }

    /// <summary>The witness does what was asked.</summary>
    public void AnswerWitness()
    {
        WitnessRequest asked = _asked;
        bool isSwapped = asked.Desired is not null && Equals(asked.Expected, Record);
        Record = isSwapped ? asked.Desired : Record;
        bool isDone = asked.Desired is null || isSwapped;
        Core.OnWitnessAnswer(new(asked.Id, isDone ? WitnessOutcome.Done : WitnessOutcome.Conflict, Record), Now);
    }

    /// <summary>The other side wins the witness.</summary>
    public void LoseWitness(Guid? winner = null) => Record = Record! with
    {
        Revision = Record.Revision + 1,
        Generation = Record.Generation + 1,
        Runner = winner ?? Guid.NewGuid(),
        IsStandbyInSync = false,
    };

    /// <summary>Runs one epoch up to its END.</summary>
    public void EndEpoch(ulong epoch)
    {
        Now += 60_000_000;
        Core.OnTick(Now);
        Core.OnCutTaken(epoch, Now);
        Core.OnCaptureDone(epoch, [], Now);
    }

    public void Ack(ulong epoch, long? echo = null, ulong applied = 0) => Core.OnMessage(
        new EpochAckMessage
        {
            Incarnation = Incarnation,
            Epoch = epoch,
            EchoNanos = echo ?? Now,
            AppliedEpoch = applied,
        },
        Now);

    public bool HasSent(MessageKind kind) => Sent.Any(message => message.Kind == kind);

    public static WelcomeMessage Welcome(long takeoverNanos = 1_000_000_000) => new()
    {
        Node = new Guid("bbbbbbbb-0000-0000-0000-000000000002"),
        StagedBytesMax = 1 << 22,
        TakeoverNanos = takeoverNanos,
        IsAckDurable = true,
        Point = default,
        HasRam = false,
        Incarnation = Incarnation,
    };

    public void Send(Message message) => Sent.Add(message);

    public void CloseLink(string reason) => Log.Add($"close: {reason}");

    public void StartFullCopy(WelcomeMessage welcome, in ResyncPlan plan) => Log.Add("copy");

    public void ContinueCopy(DiskRange range, bool isSame) => Log.Add($"compared {range} {isSame}");

    public void TellIdle(ulong epoch) => Log.Add($"tell idle {epoch}");

    public void RequestCut(ulong epoch) => Log.Add($"cut {epoch}");

    public void StartScrub(long bytesPerSecond) => Log.Add($"scrub {bytesPerSecond}");

    public void EndScrub(string? reason, long sentBytes) => Log.Add($"scrubbed {sentBytes} {reason ?? "same"}");

    public void ReleaseOutput(ulong epoch) => Log.Add($"release {epoch}");

    public void PassOutput() => Log.Add("pass");

    public void DropOutput() => Log.Add("drop");

    public void StopCapture() => Log.Add("stop capture");

    public void HoldGuest(bool isHeld) => Log.Add(isHeld ? "hold" : "let go");

    public void StopGuest(string reason) => Log.Add("stop guest");

    public void StartGuest(ulong generation) => Log.Add($"start {generation}");

    public void AskWitness(in WitnessRequest request)
    {
        _asked = request;
        Log.Add("ask");
    }
}
