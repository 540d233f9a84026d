using System;
using System.Threading.Tasks;
using Hypervisor.Core.State;

namespace Hypervisor.Replication.Session;

/// <summary>Asks a standby for a copy of the guest as of one committed epoch, for a drill.</summary>
/// <param name="machine">
/// Where to: a machine like the standby's, fresh, whose guest never ran. Once <see cref="Epoch"/> is there, AfterLoad
/// and Resume make it run.
/// </param>
/// <param name="freezeDisks">
/// Called at the moment of the copy, between two epochs, on the thread that applies them: the disks are those of the
/// epoch.
/// </param>
/// <param name="onOver">
/// Called at once when the standby no longer protects: it takes over, or gave up. On the session's thread; must not
/// block.
/// </param>
public sealed class GuestCopy(IProtectedMachine machine, Action freezeDisks, Action onOver)
{
    private readonly TaskCompletionSource<(ulong Epoch, string? Error)> _done =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes with the epoch that was copied, or with the reason why there is no copy.</summary>
    public Task<(ulong Epoch, string? Error)> Epoch => _done.Task;

    internal IProtectedMachine Machine => machine;

    internal void FreezeDisks() => freezeDisks();

    internal void Finish(ulong epoch, string? error) => _done.TrySetResult((epoch, error));

    internal void EndAtOnce() => onOver();
}
