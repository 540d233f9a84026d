using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;

namespace Hypervisor.Benchmarks;

/// <summary>What numbers depend on besides the program: the machine, how busy it is, the versions.</summary>
internal static class BenchmarkHost
{
    /// <summary>Sentences for the head of a report; <paramref name="hv"/> is the program measured.</summary>
    public static string Describe(string hv)
    {
        string version = FileVersionInfo.GetVersionInfo(Path.ChangeExtension(hv, ".dll")).ProductVersion ?? "unknown";
        string date = DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture);
        return $"{date} UTC. {Environment.ProcessorCount} cores, {After("/proc/cpuinfo", "model name")}, "
            + $"{After("/proc/meminfo", "MemTotal")} RAM. {RuntimeInformation.OSDescription}, "
            + $"{RuntimeInformation.FrameworkDescription}, hv {version}. Load average at the start {LoadAverage()}. ";
    }

    /// <summary>Memory and kernel of the guests that boot what the kit's build.sh made.</summary>
    /// <param name="files">Folder of that.</param>
    public static string DescribeGuest(string files)
        => $"512 MiB, {File.ReadLines(Path.Combine(files, "manifest.txt")).First()}";

    /// <summary>Load average over 1, 5 and 15 minutes.</summary>
    public static string LoadAverage() => string.Join(' ', File.ReadAllText("/proc/loadavg").Split(' ').Take(3));

    private static string After(string file, string name)
        => File.ReadLines(file).FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal))
            ?.Split(':', 2)[1].Trim() ?? "unknown";
}
