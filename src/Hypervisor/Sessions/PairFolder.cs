using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Hypervisor.CommandLine;
using Hypervisor.Machine;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Session;

namespace Hypervisor.Sessions;

/// <summary>Where a half of a pair keeps what it knows about its disks.</summary>
internal static class PairFolder
{
    /// <summary>Beside the first disk of its own: what is known must survive what the disks survive.</summary>
    /// <exception cref="UsageException">There is neither a disk nor a file of the witness.</exception>
    public static string Of(MachineConfig config, ProtectionConfig terms)
    {
        string beside = config.Drives.FirstOrDefault(drive => !drive.IsShared)?.File
            ?? (config.Drives.Count > 0
                ? throw new UsageException("--drive: all are shared; allowed: at least one of this half's own, "
                    + "which may be small: the journal lies beside it")
                : terms.Witness.File) ?? throw new UsageException(
                "--witness: without a drive the journal lies beside the witness; allowed: file:PATH, or a drive");
        return Directory.CreateDirectory(Path.GetFullPath(beside) + ".journal").FullName;
    }

    /// <summary>Who this half is at the witness: the one that has these disks, over all of its processes.</summary>
    /// <exception cref="FailureException">The file that says so cannot be used.</exception>
    public static Guid NodeOf(MachineConfig config, string folder)
    {
        if (config.Drives.Count == 0)
        {
            return Guid.NewGuid(); // both halves may have their folder beside one witness
        }

        try
        {
            return StateFolder.NodeOf(folder);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new FailureException(error.Message);
        }
    }

    /// <summary>When the last of the images of its own was written, by anybody.</summary>
    public static DateTime ImagesWritten(MachineConfig config)
        => config.Drives.Where(drive => !drive.IsShared)
            .Select(drive => File.GetLastWriteTimeUtc(drive.File)).DefaultIfEmpty().Max();

    /// <summary>The guest runs here: forgets what is no longer true then.</summary>
    /// <exception cref="FailureException">The folder cannot be used.</exception>
    public static void BecomePrimary(MachineConfig config, string folder, IReadOnlyList<WriteIntentLog> intents)
    {
        try
        {
            StateFolder.ForgetStandby(folder);
            if (StateFolder.IsOlderThan(folder, ImagesWritten(config)))
            {
                foreach (WriteIntentLog log in intents)
                {
                    log.Forget();
                }
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new FailureException($"{folder}: {error.Message}");
        }
    }
}
