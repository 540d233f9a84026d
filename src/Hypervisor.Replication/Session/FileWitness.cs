using System;
using System.IO;
using System.Threading;
using Hypervisor.Core.Host;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Failover;
using Microsoft.Win32.SafeHandles;

namespace Hypervisor.Replication.Session;

/// <summary>A witness for pairs that share a file system: one record in a file, swapped under a lock file.</summary>
/// <remarks>
/// A swap holds an exclusive flock on <c>path.lock</c>, compares, writes <c>path.new</c>, makes it durable and renames
/// it. So a record is never half there, and of two that swap at a time one loses. Whoever cannot get the lock within
/// the limit, or cannot write, answers "unreachable": the caller then knows nothing (rule 27).
/// </remarks>
public sealed class FileWitness(string path, IHostClock clock) : Witness
{
    private const long LockNanosMax = 500_000_000;
    private const int RetryMillis = 1;

    private protected override WitnessAnswer Ask(in WitnessRequest request)
    {
        try
        {
            return Swap(request);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or StateFormatException)
        {
            return Unreachable(request, $"witness {path}: {e.Message}");
        }
    }

    private WitnessAnswer Swap(in WitnessRequest request)
    {
        // FileShare without None: .NET takes a shared flock by itself otherwise, and would throw instead of waiting.
        using SafeFileHandle guard = File.OpenHandle(
            path + ".lock", FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        if (!TryTakeLock(guard))
        {
            return Unreachable(
                request, $"witness {path}: the lock was not free for {LockNanosMax / 1_000_000} ms");
        }

        WitnessRecord? current = File.Exists(path) ? WitnessRecord.Read(File.ReadAllBytes(path)) : null;
        if (request.Desired is null)
        {
            return new WitnessAnswer(request.Id, WitnessOutcome.Done, current);
        }

        if (current != request.Expected)
        {
            return new WitnessAnswer(request.Id, WitnessOutcome.Conflict, current);
        }

        byte[] record = new byte[WitnessRecord.Bytes];
        request.Desired.Write(record);
        DurableFile.Replace(path, record);
        return new WitnessAnswer(request.Id, WitnessOutcome.Done, request.Desired);
    }

    private bool TryTakeLock(SafeFileHandle guard)
    {
        using var pause = new ManualResetEventSlim();
        long deadline = clock.NowNanos + LockNanosMax;
        while (!DurableFile.TryLock(guard))
        {
            if (clock.NowNanos >= deadline)
            {
                return false;
            }

            _ = pause.Wait(RetryMillis);
        }

        return true;
    }
}
