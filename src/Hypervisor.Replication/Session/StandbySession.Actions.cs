using System.Threading;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Link;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <content>What the core wants, done.</content>
public sealed partial class StandbySession
{
    void IStandbyActions.Send(int link, Message message)
    {
        if (message is EpochAckMessage ack)
        {
            _meter.Add(ack);
        }

        if (_links.TryGetValue(link, out TcpLink? found))
        {
            if (message is WelcomeMessage welcome)
            {
                found.Agree(welcome.Compression, zstdLevel: 1); // of no matter to who expands
            }

            found.Send(message);
        }
        else
        {
            message.Release();
        }
    }

    void IStandbyActions.CloseLink(int link, string reason)
    {
        if (_links.Remove(link, out TcpLink? found))
        {
            found.Close();
            _setup.Events.OnState($"link {link} closed: {reason}");
        }
    }

    void IStandbyActions.BeginFullCopy(HelloMessage hello, ReplicaPoint point)
    {
        _meter.Restart();
        _worker.BeginFullCopy(hello, point);
    }

    void IStandbyActions.ApplyCopied(Message message) => _worker.ApplyCopied(message);

    void IStandbyActions.FinishFullCopy(FullCopyDoneMessage done, StagedEpoch @base)
        => _worker.FinishFullCopy(done, @base);

    void IStandbyActions.CommitEpoch(StagedEpoch epoch, bool isDurable) => _worker.Commit(epoch, isDurable);

    void IStandbyActions.ApplyEpoch(StagedEpoch epoch) => _worker.Apply(epoch);

    void IStandbyActions.FlushDisks() => _worker.Flush();

    void IStandbyActions.WriteGeneration(ulong generation, ulong epoch) => _worker.WriteGeneration(generation, epoch);

    void IStandbyActions.AskWitness(in WitnessRequest request) => _witness.Ask(request);

    void IStandbyActions.EmitOutput(OutputMessage output)
    {
        if (output.Stream < _setup.Consoles.Count)
        {
            _setup.Events.OnOutputRepeated(output.Stream, output.OffsetBytes, output.Bulk.Length);
            _setup.Consoles[output.Stream].Write(output.Bulk.Span);
        }

        output.Release();
    }

    void IStandbyActions.WriteShared(DiskWriteMessage write) => _worker.WriteShared(write);

    void IStandbyActions.GoLive(StagedEpoch epoch, WitnessRecord won)
    {
        _wonAt = new ReplicaPoint(won.Incarnation, epoch.Epoch);
        Volatile.Write(ref _won, won); // pairs with Succeed
        _worker.GoLive(epoch);
    }

    void IStandbyActions.Discard(string reason, ReplicaPoint point) => _worker.Discard(point);
}
