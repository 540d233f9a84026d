using System;
using System.Diagnostics;
using System.IO;

namespace Hypervisor.Benchmarks;

/// <summary>Programs of the host that a measurement needs, run to their end.</summary>
internal static class HostCommand
{
    /// <summary>What a program printed.</summary>
    /// <exception cref="InvalidOperationException">It ended with another code than 0.</exception>
    public static string Output(string program, params string[] words)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, words) { RedirectStandardOutput = true })!;
        string text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? text
            : throw new InvalidOperationException($"{program} {string.Join(' ', words)} ended with {process.ExitCode}");
    }

    /// <summary>A fresh disk for a guest.</summary>
    /// <remarks>
    /// It is on the host's disk before a clock starts, so that writing it back costs no machine anything.
    /// </remarks>
    public static void CopyDisk(string source, string target)
    {
        File.Delete(target);
        _ = Output("cp", "--sparse=always", source, target);
        _ = Output("sync", target);
    }
}
