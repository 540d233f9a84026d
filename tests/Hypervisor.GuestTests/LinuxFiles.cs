using System;
using System.Diagnostics;
using System.IO;
using System.Runtime.CompilerServices;
using Hypervisor.Machine.Boot;
using Xunit;

namespace Hypervisor.GuestTests;

/// <summary>Debian's kernel and our initial RAM disk, as guest/linux/build.sh makes them, once per process.</summary>
internal static class LinuxFiles
{
    private static readonly Lazy<(int ExitCode, string Output)> s_build = new(Build);

    private static string CacheFolder
        => Environment.GetEnvironmentVariable("HV_CACHE") ?? Path.Combine(Root(), ".cache");

    /// <summary>The bzImage's path.</summary>
    public static string KernelPath => Ready("vmlinuz");

    /// <summary>A new disk with an ext4 file system, to be copied.</summary>
    public static string DiskPath => Ready("disk.img");

    /// <summary>The initial RAM disk.</summary>
    public static BootFile Initrd => BootFile.Open("initrd", InitrdPath);

    /// <summary>The initial RAM disk's path.</summary>
    public static string InitrdPath => Ready("initrd.gz");

    /// <summary>The guest's busybox, which runs on the host as well.</summary>
    public static string BusyboxPath => Ready("busybox");

    /// <summary>Makes a disk that boots through GRUB.</summary>
    public static void MakeGrubDisk(string path, string kernelArguments)
    {
        _ = KernelPath;
        RequirePackages(Run("sh", Path.Combine(Root(), "guest", "grub-disk.sh"), CacheFolder, path, kernelArguments));
    }

    /// <summary>What e2fsck finds in an unmounted image; nothing is repaired.</summary>
    public static (int ExitCode, string Output) CheckExt4(string path) => Run("e2fsck", "-fn", path);

    private static string Ready(string name)
    {
        RequirePackages(s_build.Value);
        return Path.Combine(CacheFolder, "linux", name);
    }

    private static (int ExitCode, string Output) Build()
    {
        string guest = Path.Combine(AppContext.BaseDirectory, "Hypervisor.Guest.dll");
        return Run("sh", Path.Combine(Root(), "guest", "linux", "build.sh"), CacheFolder, guest);
    }

    // By the scripts' words: without network or apt there is no kernel to test with; any other failure is our fault.
    private static void RequirePackages((int ExitCode, string Output) result)
    {
        bool isMissing = result.ExitCode != 0
            && (result.Output.Contains("apt-get download", StringComparison.Ordinal)
                || result.Output.Contains("apt knows no", StringComparison.Ordinal));
        Assert.SkipWhen(isMissing, $"Debian's packages cannot be had: {result.Output}");
        Assert.True(result.ExitCode == 0, result.Output);
    }

    private static (int ExitCode, string Output) Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo("sh") { RedirectStandardOutput = true };
        start.Environment["PATH"] = Environment.GetEnvironmentVariable("PATH") + ":/usr/sbin:/sbin";
        foreach (string argument in (string[])["-c", "exec \"$@\" 2>&1", "sh", program, .. arguments])
        {
            start.ArgumentList.Add(argument);
        }

        using Process process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output);
    }

    private static string Root([CallerFilePath] string thisFile = "")
        => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(thisFile)!, "..", ".."));
}
