using System.Linq;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Wire;
using Xunit;

namespace Hypervisor.Tests.Replication.Session;

public sealed class EpochMeterTests
{
    private readonly EpochMeter _meter = new();

    [Fact]
    public void Every_phase_is_measured_from_the_step_before_it()
    {
        _meter.AddCopy(7);
        _meter.OnEnd(1, 100);
        _meter.OnEndTaken(1, 103);
        _meter.OnAck(Ack(1, appliedEpoch: 1), 110);
        _meter.OnReleased(1, 115);

        Assert.Equal(
            ["copy 7", "send 3", "stage 2000", "journal 3000", "ack 10", "release 5", "apply 4000"],
            _meter.Summarize().Select(phase => $"{phase.Name} {phase.Times.MaxNanos}"));
        Assert.All(_meter.Summarize(), phase => Assert.Equal(1, phase.Times.Count));
    }

    [Fact]
    public void Word_of_an_epoch_that_was_not_ended_or_was_acknowledged_counts_nothing()
    {
        _meter.OnEnd(1, 100);
        _meter.OnEndTaken(2, 100);
        _meter.OnAck(Ack(65, appliedEpoch: 0), 110); // the slot of epoch 1
        _meter.OnReleased(1, 110);
        Assert.All(_meter.Summarize(), phase => Assert.Equal(0, phase.Times.Count));

        _meter.OnAck(Ack(1, appliedEpoch: 0), 110);
        _meter.OnAck(Ack(1, appliedEpoch: 0), 120);

        Assert.Equal(1, _meter.Summarize().Single(phase => phase.Name == "ack").Times.Count);
    }

    [Fact]
    public void Apply_counts_once_for_each_epoch_that_was_applied()
    {
        for (ulong epoch = 1; epoch <= 3; epoch++)
        {
            _meter.OnEnd(epoch, 100);
            _meter.OnAck(Ack(epoch, appliedEpoch: 1), 110);
        }

        Assert.Equal(1, _meter.Summarize().Single(phase => phase.Name == "apply").Times.Count);
    }

    [Fact]
    public void Late_word_of_an_epoch_whose_place_another_one_has_counts_nothing()
    {
        _meter.OnEnd(65, 100);
        _meter.OnEndTaken(1, 103);
        _meter.OnAck(Ack(65, appliedEpoch: 0), 110);
        _meter.OnReleased(1, 115);

        Assert.Equal(
            ["send 0", "ack 1", "release 0"],
            _meter.Summarize().Where(phase => phase.Name is "send" or "ack" or "release")
                .Select(phase => $"{phase.Name} {phase.Times.Count}"));
    }

    [Fact]
    public void New_life_of_the_pair_begins_without_marks_of_the_old_one()
    {
        _meter.OnEnd(1, 100);
        _meter.OnAck(Ack(1, appliedEpoch: 7), 110);
        _meter.OnEnd(2, 110);
        _meter.Restart();
        _meter.OnAck(Ack(2, appliedEpoch: 0), 900);
        _meter.OnEnd(1, 1000);
        _meter.OnAck(Ack(1, appliedEpoch: 1), 1010);

        Assert.Equal(
            ["ack 2 10", "apply 2 4000"],
            _meter.Summarize().Where(phase => phase.Name is "ack" or "apply")
                .Select(phase => $"{phase.Name} {phase.Times.Count} {phase.Times.MaxNanos}"));
    }

    private static EpochAckMessage Ack(ulong epoch, ulong appliedEpoch) => new()
    {
        Epoch = epoch,
        EchoNanos = 0,
        AppliedEpoch = appliedEpoch,
        Times = new StandbyTimes(2, 3, 4),
    };
}
