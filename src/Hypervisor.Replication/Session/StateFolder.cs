using System;
using System.IO;
using System.Text;
using Hypervisor.Core.Host;

namespace Hypervisor.Replication.Session;

/// <summary>What a half of a pair keeps beside its disks: journal, mark, write-intent logs, who it is.</summary>
public static class StateFolder
{
    /// <summary>The standby's mark.</summary>
    internal const string Mark = "standby.mark";

    private const string Node = "node";

    // Disks are written right behind the journal, and logs are touched twice a second.
    private static readonly TimeSpan s_behind = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Whether a disk was written to after everything that is here: then by somebody else, and nothing here is true of
    /// it (rule 44). False for an empty folder.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="imagesWritten">When the last of the images was written, in UTC.</param>
    public static bool IsOlderThan(string folder, DateTime imagesWritten)
    {
        DateTime newest = DateTime.MinValue;
        foreach (string file in Directory.EnumerateFiles(folder))
        {
            DateTime written = File.GetLastWriteTimeUtc(file);
            newest = written > newest ? written : newest;
        }

        return newest > DateTime.MinValue && imagesWritten > newest + s_behind;
    }

    /// <summary>Who this half is at the witness, over all of its processes; made at the first call.</summary>
    /// <exception cref="IOException">It cannot be read or written.</exception>
    public static Guid NodeOf(string folder)
    {
        string path = Path.Combine(folder, Node);
        if (!File.Exists(path))
        {
            DurableFile.Replace(path, Encoding.UTF8.GetBytes($"{Guid.NewGuid()}"));
        }

        return Guid.TryParse(File.ReadAllText(path), out Guid node)
            ? node
            : throw new IOException($"{path} names no node; allowed: a UUID, or no such file");
    }

    /// <summary>The guest runs here now: what the standby's mark said is no longer true.</summary>
    /// <exception cref="IOException">It cannot be removed.</exception>
    public static void ForgetStandby(string folder) => File.Delete(Path.Combine(folder, Mark));
}
