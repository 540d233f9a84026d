using System;
using System.Collections.Generic;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Text;

namespace Hypervisor.Guest.Initramfs;

/// <summary>Builds the initramfs of the Linux guest: busybox, the virtio modules, and our /init.</summary>
public static class LinuxInitramfs
{
    private const string InitResource = "init";
    private static readonly string[] s_modules =
    [
        "virtio_pci", "virtio_blk", "virtio_rng", "virtio_net", "virtio_console", "virtio_balloon", "af_packet",
        "ext4", "crc32c_generic",
    ];
    private static readonly string[] s_folders = ["bin", "dev", "proc", "sys", "tmp", "mnt", "lib", "lib/modules"];

    /// <summary>Writes the gzip-compressed archive.</summary>
    /// <param name="packages">Folder into which kernel and busybox-static were unpacked (dpkg-deb -x).</param>
    /// <param name="target">Where the archive goes.</param>
    /// <exception cref="FileNotFoundException">The folder holds no kernel modules or no busybox.</exception>
    public static void Write(string packages, Stream target)
    {
        byte[] busybox = File.ReadAllBytes(Busybox(packages));
        IReadOnlyList<string> modules = KernelModules.InLoadOrder(ModuleFolder(packages), s_modules);

        using var gzip = new GZipStream(target, CompressionLevel.Fastest, leaveOpen: true);
        var archive = new CpioWriter(gzip);
        foreach (string folder in s_folders)
        {
            archive.AddDirectory(folder);
        }

        archive.AddCharacterDevice("dev/console", 5, 1); // before devtmpfs is there, /init talks through it
        archive.AddFile("bin/busybox", busybox, executable: true);
        archive.AddLink("bin/sh", "busybox");
        foreach (string module in modules)
        {
            archive.AddFile($"lib/modules/{Path.GetFileName(module)}", File.ReadAllBytes(module), executable: false);
        }

        string order = string.Join('\n', modules.Select(Path.GetFileName)) + "\n";
        archive.AddFile("lib/modules/order", Encoding.UTF8.GetBytes(order), executable: false);
        archive.AddFile("init", InitScript(), executable: true);
        archive.Finish();
    }

    private static string Busybox(string packages)
    {
        string[] candidates = [Path.Combine(packages, "bin/busybox"), Path.Combine(packages, "usr/bin/busybox")];
        return Array.Find(candidates, File.Exists)
            ?? throw new FileNotFoundException($"no busybox in {packages}: unpack Debian's busybox-static there");
    }

    private static string ModuleFolder(string packages)
    {
        string[] parents = [Path.Combine(packages, "lib/modules"), Path.Combine(packages, "usr/lib/modules")];
        return parents.Where(Directory.Exists).SelectMany(Directory.EnumerateDirectories)
            .Order(StringComparer.Ordinal).LastOrDefault()
            ?? throw new FileNotFoundException($"no kernel modules in {packages}: unpack Debian's linux-image there");
    }

    private static byte[] InitScript()
    {
        using Stream resource = typeof(LinuxInitramfs).Assembly.GetManifestResourceStream(InitResource)!;
        byte[] script = new byte[resource.Length];
        resource.ReadExactly(script);
        return script;
    }
}
