using System.IO;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Core.State;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <content>Disks that both halves reach: untouched until this side has won.</content>
internal sealed partial class StandbyWorker
{
    private const long SayNanos = 1_000_000_000; // a killed process gives its locks up at once, one that lost soon
    private const int LookMillis = 5;

    private readonly ManualResetEventSlim _closing = new();

    /// <summary>
    /// The primary holds the image's lock. Where it does not seem so, it is another image, or a lock does not reach the
    /// other host: then nothing would keep two writers apart.
    /// </summary>
    private void CheckShared()
    {
        for (int i = 0; i < _setup.SharedDisks.Count; i++)
        {
            if (!_setup.SharedDisks[i].IsHeldElsewhere())
            {
                throw new StateFormatException(
                    $"shared disk {i}: nobody holds the image's lock here; allowed: the primary's own image, on a file "
                    + "system whose locks reach both hosts");
            }
        }
    }

    /// <summary>
    /// This side has won, so the primary will find out and give them up, or be ended. Until then it may write: a
    /// process that hangs does once it goes on. However long that takes, nothing is lost by waiting.
    /// </summary>
    private void AcquireShared()
    {
        long sayNanos = Now + SayNanos;
        foreach (SharedDisk disk in _setup.SharedDisks)
        {
            while (!disk.TryAcquire())
            {
                if (Now >= sayNanos)
                {
                    sayNanos = long.MaxValue;
                    _setup.Events.OnState("the guest waits: a shared disk is still locked by the primary, which may "
                        + "hang: end it");
                }

                if (_closing.Wait(LookMillis))
                {
                    throw new IOException("this standby was ended while the primary still locked a shared disk");
                }
            }
        }
    }

    private void DoWriteShared(DiskWriteMessage write)
    {
        StandbyDisk disk = _disks[write.Disk];
        switch (write.Operation)
        {
            case BlockOperation.Write:
                disk.Write(write.OffsetBytes, write.Bulk.Span);
                break;
            case BlockOperation.WriteZeroes:
                disk.WriteZeroes(write.OffsetBytes, write.LengthBytes);
                break;
            case BlockOperation.Discard:
                disk.Discard(write.OffsetBytes, write.LengthBytes);
                break;
            case BlockOperation.Flush:
                break; // all of it is flushed before the guest goes on
            case BlockOperation.Resize:
            case BlockOperation.Read:
            default:
                throw new StateFormatException($"{write.Operation} of a shared disk");
        }
    }

    private void FinishShared()
    {
        if (_sharedError is not null)
        {
            throw new IOException(_sharedError);
        }

        for (int i = 0; i < _disks.Count; i++)
        {
            if (_setup.Options.Machine.Disks[i].IsShared)
            {
                _disks[i].Flush();
            }
        }
    }
}
