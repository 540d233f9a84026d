using System;
using Hypervisor.Replication.Failover;

namespace Hypervisor.Replication.Session;

/// <summary>The witness of a pair: a file on storage that both halves share, or a service.</summary>
public abstract class Witness : IWitness, IDisposable
{
    /// <summary>The last failure in words, for people; empty when there was none.</summary>
    public string LastError { get; private protected set; } = "";

    WitnessAnswer IWitness.Ask(in WitnessRequest request) => Ask(request);

    /// <summary>Reads the record; null: there is none. False: see <see cref="LastError"/>.</summary>
    public bool TryRead(out WitnessRecord? record)
    {
        WitnessAnswer answer = Ask(default);
        record = answer.Current;
        return answer.Outcome == WitnessOutcome.Done;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases what it holds.</summary>
    protected virtual void Dispose(bool disposing)
    {
    }

    private protected abstract WitnessAnswer Ask(in WitnessRequest request);

    private protected WitnessAnswer Unreachable(in WitnessRequest request, string why)
    {
        LastError = why;
        return new WitnessAnswer(request.Id, WitnessOutcome.Unreachable, null);
    }
}
