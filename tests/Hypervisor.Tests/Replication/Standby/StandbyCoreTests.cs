using System;
using System.Collections.Generic;
using System.Linq;
using Hypervisor.Backends.Block;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;
using Hypervisor.Tests.Replication.Epochs;
using Xunit;

namespace Hypervisor.Tests.Replication.Standby;

/// <summary>The standby's rules, each by a script: the test plays primary, rim and witness.</summary>
public sealed class StandbyCoreTests : IStandbyActions
{
    private const ulong Incarnation = 77;
    private const int Link = 1;

    private static readonly Guid s_primary = Guid.NewGuid();
    private static readonly Guid s_standby = Guid.NewGuid();

    private readonly List<string> _log = [];
    private readonly List<Message> _sent = [];
    private readonly StandbyCore _core;
    private WitnessRequest _asked;
    private long _now = 1_000_000;

    public StandbyCoreTests()
    {
        _core = new StandbyCore(
            new StandbyOptions { Node = s_standby, Machine = RecordedPrimary.Machine, StagedBytesMax = 1 << 22 }, this);
    }

    [Fact]
    public void Rule_05_takeover_lets_out_what_a_committed_epoch_implies_and_nothing_else()
    {
        Protect();
        for (ulong epoch = 1; epoch <= 2; epoch++)
        {
            StageOutput(epoch);
            _core.OnEpochCommitted(epoch, null, _now);
            _core.OnEpochApplied(epoch, null, _now);
        }

        _core.OnMessage(Link, Of(0, new HeartbeatMessage { SentNanos = 1, ReleasedEpoch = 1 }), _now);
        _core.OnMessage(Link, Of(3, Output(3)), _now); // epoch 3 never ends
        Assert.DoesNotContain("emit 2", _log); // the primary is there to let it out

        _core.OnLinkLost(Link, LinkLoss.ClosedByPeer, "end of stream", _now);
        _core.OnDisksFlushed(null, _now);
        Answer(InSync());
        _core.OnGenerationWritten(null, _now);
        Assert.DoesNotContain("emit 2", _log); // not before the witness is won
        Answer(_asked.Desired!);

        Assert.Equal(StandbyState.Live, _core.State);
        Assert.Equal(["emit 2"], _log.Where(line => line.StartsWith("emit", StringComparison.Ordinal)));
        Assert.True(_log.IndexOf("emit 2") < _log.IndexOf("live 2"));
    }

    [Fact]
    public void Rule_07_epoch_with_a_wrong_digest_is_not_committed()
    {
        Protect();
        Stage(1);

        End(1, change: totals => totals with { Digest = totals.Digest ^ 1 });

        Assert.Equal(StandbyState.Failed, _core.State);
        Assert.DoesNotContain("commit 1", _log);
        Assert.Contains(_sent, message => message is AbortMessage);
    }

    [Fact]
    public void Rule_08_acknowledgement_follows_the_commit()
    {
        Protect();
        Stage(1);
        End(1);
        Assert.DoesNotContain(_sent, message => message is EpochAckMessage);

        _core.OnEpochCommitted(1, null, _now);

        Assert.Contains(_sent, message => message is EpochAckMessage { Epoch: 1 });
    }

    [Fact]
    public void Rule_09_gap_in_the_epochs_is_refused_and_names_both_numbers()
    {
        Protect();

        End(2);

        Assert.Equal("epoch ended is 2, must be 1", _core.Reason);
    }

    [Fact]
    public void Rule_19_epoch_with_a_flush_is_committed_durably()
    {
        Protect();
        Stage(1);
        _core.OnMessage(Link, Of(1, Flush()), _now);

        Assert.DoesNotContain("commit 1 durably", _log);
        _core.OnMessage(Link, EndOf(1, hasFlush: true), _now);

        Assert.Contains("commit 1 durably", _log);
    }

    [Fact]
    public void Rule_21_goes_live_only_after_flush_generation_and_witness_in_this_order()
    {
        Protect();
        _core.OnLinkLost(Link, LinkLoss.ClosedByPeer, "end of stream", _now);
        _core.OnDisksFlushed(null, _now);
        Answer(InSync());
        Assert.Equal("generation 2", _log[^1]); // and it is not durable yet
        _core.OnGenerationWritten(null, _now);
        Assert.DoesNotContain("live 2", _log);
        _core.OnWitnessAnswer(new(_asked.Id, WitnessOutcome.Done, _asked.Desired), _now);

        Assert.Equal(["flush", "ask", "generation 2", "ask", "live 2"], _log.TakeLast(5));
        Assert.Equal((s_standby, 2ul), (_asked.Desired!.Runner, _asked.Desired.Generation));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Rule_22_error_in_journal_or_apply_ends_protection(bool isCommit)
    {
        Protect();
        Stage(1);
        End(1);
        if (isCommit)
        {
            _core.OnEpochCommitted(1, "no space left", _now);
        }
        else
        {
            _core.OnEpochCommitted(1, null, _now);
            _core.OnEpochApplied(1, "input/output error", _now);
        }

        Assert.Equal(StandbyState.Failed, _core.State);
    }

    [Fact]
    public void Rule_26_broken_link_waits_for_the_whole_timeout()
    {
        Protect();
        _core.OnTick(_now);

        _core.OnLinkLost(Link, LinkLoss.Broken, "reset", _now);
        _core.OnTick(_now + 999_000_000);
        Assert.Equal(StandbyState.Protecting, _core.State);
        _core.OnTick(_now + 1_000_000_000);

        Assert.Equal(StandbyState.TakingOver, _core.State);
    }

    [Fact]
    public void Rule_27_loser_of_the_witness_discards_its_copy()
    {
        Protect();
        _core.OnLinkLost(Link, LinkLoss.ClosedByPeer, "end of stream", _now);
        _core.OnDisksFlushed(null, _now);

        Answer(InSync() with { IsStandbyInSync = false, Generation = 2, OutdatedSince = 1 });

        Assert.Equal(StandbyState.Idle, _core.State);
        Assert.Contains("discard", _log);
    }

    [Fact]
    public void Rule_28_second_primary_is_refused()
    {
        Protect();

        _core.OnConnected(2, _now);
        _core.OnMessage(2, Hello(RecordedPrimary.Machine), _now);

        Assert.Contains(_sent, message => message is RefusalMessage { Field: "standby" });
        Assert.Equal(StandbyState.Protecting, _core.State);
    }

    [Fact]
    public void Rule_30_planned_end_never_leads_to_a_takeover()
    {
        Protect();
        _core.OnMessage(Link, new PlannedEndMessage { Reason = "off", Incarnation = Incarnation }, _now);
        _core.OnLinkLost(Link, LinkLoss.ClosedByPeer, "end of stream", _now);

        _core.OnDisksFlushed(null, _now);

        Assert.Equal(StandbyState.Ended, _core.State);
    }

    [Theory]
    [InlineData("x86-64-v3", 4096, "RAM bytes: the primary has 4096, the standby has 1048576")]
    [InlineData("x86-64-v4", 1 << 20, "CPU model: the primary has x86-64-v4, the standby has x86-64-v3")]
    public void Rule_33_mismatch_names_the_field_and_both_values(string cpuModel, long ramBytes, string text)
    {
        _core.OnConnected(Link, _now);

        _core.OnMessage(Link, Hello(RecordedPrimary.Machine with { CpuModel = cpuModel, RamBytes = ramBytes }), _now);

        RefusalMessage refusal = Assert.IsType<RefusalMessage>(Assert.Single(_sent));
        Assert.Equal(text, refusal.Text);
    }

    [Theory]
    [InlineData(2UL, 0u)]
    [InlineData(1UL, 1u)]
    public void Rule_25_full_copy_with_another_count_or_digest_is_given_up(ulong messages, uint flip)
    {
        _core.OnConnected(Link, _now);
        _core.OnMessage(Link, Hello(RecordedPrimary.Machine), _now);
        _core.OnFullCopyReady(null, _now);
        _core.OnMessage(Link, Of(0, Section()), _now);
        var copy = new CopyDigest();
        copy.Add(Section());

        _core.OnMessage(Link, Of(0, CopyDone(copy.Bytes, copy.Digest ^ flip, messages)), _now);

        Assert.Equal(StandbyState.Idle, _core.State);
        Assert.DoesNotContain("finish", _log);
        Assert.Contains(_sent, message => message is AbortMessage);
    }

    [Fact]
    public void Rule_39_incomplete_copy_is_never_promoted()
    {
        _core.OnConnected(Link, _now);
        _core.OnMessage(Link, Hello(RecordedPrimary.Machine), _now);
        _core.OnFullCopyReady(null, _now);

        _core.OnLinkLost(Link, LinkLoss.ClosedByPeer, "end of stream", _now);

        Assert.Equal(StandbyState.Idle, _core.State);
        Assert.DoesNotContain("flush", _log);
    }

    [Fact]
    public void Buffers_are_left_alone_while_the_rim_works_on_them()
    {
        Protect();
        Stage(1);
        End(1);
        _core.OnMessage(Link, new AbortMessage { Reason = "over", Incarnation = Incarnation }, _now);
        _core.OnConnected(2, _now);

        _core.OnMessage(2, Hello(RecordedPrimary.Machine), _now);

        Assert.Contains(_sent, message => message is RefusalMessage);
    }

    void IStandbyActions.Send(int link, Message message) => _sent.Add(message);
    void IStandbyActions.CloseLink(int link, string reason) => _log.Add($"close {link}");

    void IStandbyActions.BeginFullCopy(HelloMessage hello, ReplicaPoint point) => _log.Add("begin");

    void IStandbyActions.ApplyCopied(Message message) => message.Release();

    void IStandbyActions.FinishFullCopy(FullCopyDoneMessage done, StagedEpoch @base) => _log.Add("finish");

    void IStandbyActions.CommitEpoch(StagedEpoch epoch, bool isDurable)
        => _log.Add($"commit {epoch.Epoch}{(isDurable ? " durably" : "")}");

    void IStandbyActions.ApplyEpoch(StagedEpoch epoch) => _log.Add($"apply {epoch.Epoch}");

    void IStandbyActions.FlushDisks() => _log.Add("flush");

    void IStandbyActions.WriteGeneration(ulong generation, ulong epoch) => _log.Add($"generation {generation}");

    void IStandbyActions.AskWitness(in WitnessRequest request)
    {
        _asked = request;
        _log.Add("ask");
    }

    void IStandbyActions.WriteShared(DiskWriteMessage write) => _log.Add($"shared {write.Epoch}");
    void IStandbyActions.EmitOutput(OutputMessage output) => _log.Add($"emit {output.Epoch}");

    void IStandbyActions.GoLive(StagedEpoch epoch, WitnessRecord won) => _log.Add($"live {won.Generation}");

    void IStandbyActions.Discard(string reason, ReplicaPoint point) => _log.Add("discard");

    private static HelloMessage Hello(MachineIdentity machine) => new()
    {
        Node = s_primary,
        Generation = 1,
        LeaseNanos = 600_000_000,
        EpochsInFlightMax = 2,
        Machine = machine,
        Incarnation = Incarnation,
    };

    private static Message Of(ulong epoch, Message message)
    {
        message.Epoch = epoch;
        message.Incarnation = Incarnation;
        return message;
    }

    private static SectionMessage Section()
    {
        var section = new SectionMessage();
        section.Attach(new byte[] { 1, 2, 3 }, null);
        return section;
    }

    private static FullCopyDoneMessage CopyDone(long bytes, uint digest, ulong messages = 1)
        => new() { Messages = messages, CopiedBytes = bytes, StreamDigest = digest, ContentDigests = [] };

    private static DiskWriteMessage Flush()
        => new() { Disk = 0, Operation = BlockOperation.Flush, OffsetBytes = 0, LengthBytes = 0 };

    private static OutputMessage Output(byte value)
    {
        var output = new OutputMessage { Stream = 0, OffsetBytes = 100 * value };
        output.Attach(new byte[] { value }, null);
        return output;
    }

    private static EpochEndMessage EndOf(
        ulong epoch, bool hasFlush = false, Func<EpochTotals, EpochTotals>? change = null)
    {
        var digest = new EpochDigest();
        SectionMessage section = Section();
        digest.Add(MessageKind.Section, section.ComputeChecksum());
        long bytes = section.PayloadBytes;
        if (hasFlush)
        {
            DiskWriteMessage flush = Flush();
            digest.Add(MessageKind.DiskWrite, flush.ComputeChecksum());
            bytes += flush.PayloadBytes;
        }

        EpochTotals totals = digest.Totals(bytes);
        var end = new EpochEndMessage
        {
            Totals = change is null ? totals : change(totals),
            SentNanos = 5,
            ReleasedEpoch = 0,
            Epoch = epoch,
        };
        end.Incarnation = Incarnation;
        return end;
    }

    private static WitnessRecord InSync() => new(
        RecordedPrimary.Machine.PairId, 2, 1, s_primary, s_standby, Incarnation, true, 0, WitnessPhase.Running);

    private void Stage(ulong epoch) => _core.OnMessage(Link, Of(epoch, Section()), _now);

    /// <summary>An epoch of a section and a byte of output, up to its END.</summary>
    private void StageOutput(ulong epoch)
    {
        var digest = new EpochDigest();
        Message[] messages = [Section(), Output((byte)epoch)];
        long bytes = 0;
        foreach (Message message in messages)
        {
            digest.Add(message.Kind, message.ComputeChecksum());
            bytes += message.PayloadBytes;
            _core.OnMessage(Link, Of(epoch, message), _now);
        }

        End(epoch, _ => digest.Totals(bytes));
    }

    private void End(ulong epoch, Func<EpochTotals, EpochTotals>? change = null)
        => _core.OnMessage(Link, EndOf(epoch, change: change), _now);

    private void Answer(WitnessRecord record)
        => _core.OnWitnessAnswer(new(_asked.Id, WitnessOutcome.Done, record), _now);

    private void Protect()
    {
        _core.OnConnected(Link, _now);
        _core.OnMessage(Link, Hello(RecordedPrimary.Machine), _now);
        _core.OnFullCopyReady(null, _now);
        _core.OnMessage(Link, Of(0, Section()), _now);
        var copy = new CopyDigest();
        copy.Add(Section());
        _core.OnMessage(Link, Of(0, CopyDone(copy.Bytes, copy.Digest)), _now);
        _core.OnFullCopyFinished(null, _now);
        _now += 1000;
    }
}
