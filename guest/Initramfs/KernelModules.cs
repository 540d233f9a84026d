using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;

namespace Hypervisor.Guest.Initramfs;

/// <summary>Finds kernel modules in an unpacked kernel package, each after the ones that it depends on.</summary>
/// <remarks>The package has no modules.dep (depmod makes it at installation), so "depends=" is read from the modules.</remarks>
internal static class KernelModules
{
    /// <summary>Paths of the modules and of all that they need, in loading order. A built-in one is left out.</summary>
    /// <param name="folder">lib/modules/VERSION of the unpacked package.</param>
    /// <param name="names">Module names; - and _ are the same.</param>
    public static IReadOnlyList<string> InLoadOrder(string folder, IEnumerable<string> names)
    {
        var files = Directory.EnumerateFiles(folder, "*.ko", SearchOption.AllDirectories)
            .ToDictionary(path => Canonical(Path.GetFileNameWithoutExtension(path)), StringComparer.Ordinal);
        List<string> ordered = [];
        foreach (string name in names)
        {
            Add(name, files, ordered);
        }

        return ordered;
    }

    private static void Add(string name, Dictionary<string, string> files, List<string> ordered)
    {
        if (!files.TryGetValue(Canonical(name), out string? path) || ordered.Contains(path))
        {
            return;
        }

        foreach (string dependency in DependenciesOf(File.ReadAllBytes(path)))
        {
            Add(dependency, files, ordered);
        }

        ordered.Add(path);
    }

    // The section .modinfo is a list of zero-terminated "key=value".
    private static string[] DependenciesOf(ReadOnlySpan<byte> module)
    {
        ReadOnlySpan<byte> key = "\0depends="u8;
        int start = module.IndexOf(key);
        if (start < 0)
        {
            return [];
        }

        ReadOnlySpan<byte> value = module[(start + key.Length)..];
        int end = value.IndexOf((byte)0);
        return Encoding.ASCII.GetString(value[..Math.Max(end, 0)]).Split(',', StringSplitOptions.RemoveEmptyEntries);
    }

    private static string Canonical(string name) => name.Replace('-', '_');
}
