using System;
using System.Collections.Generic;
using System.Text;
using Hypervisor.Backends.Block;
using Hypervisor.Machine;

namespace Hypervisor.CommandLine;

/// <summary>`--drive file=PATH,format=raw,cache=writeback,id=NAME,readonly=on|off`.</summary>
internal static class DriveText
{
    private static readonly (string Name, CacheMode Mode)[] s_cacheModes =
    [
        ("none", CacheMode.None),
        ("directsync", CacheMode.Directsync),
        ("writethrough", CacheMode.Writethrough),
        ("writeback", CacheMode.Writeback),
        ("unsafe", CacheMode.Unsafe),
    ];

    /// <summary>Parses every `--drive` (or option <paramref name="option"/>), in order.</summary>
    /// <exception cref="UsageException">A word that is not understood, or two drives that are one.</exception>
    public static List<DriveConfig> ParseAll(string option, IReadOnlyList<string> texts)
    {
        List<DriveConfig> drives = [];
        foreach (string text in texts)
        {
            DriveConfig drive = Parse(option, text, drives.Count);
            if (drives.Exists(other => other.Id == drive.Id))
            {
                throw new UsageException($"{option} {text}: id '{drive.Id}' is taken; allowed: another id=");
            }

            drives.Add(drive);
        }

        return drives.Count <= MachineConfig.DriveCountMax ? drives : throw new UsageException(
            $"{option}: {drives.Count} drives are too many; allowed: {MachineConfig.DriveCountMax}");
    }

    /// <summary>Writes a drive as an option's value, such that <see cref="ParseAll"/> reads it back.</summary>
    public static string Write(DriveConfig drive)
    {
        string cache = Array.Find(s_cacheModes, entry => entry.Mode == drive.Cache).Name;
        return $"file={PropertyList.Quote(drive.Path)},format={drive.Format},cache={cache}"
            + $",id={PropertyList.Quote(drive.Id)},readonly={(drive.IsReadOnly ? "on" : "off")}";
    }

    private static DriveConfig Parse(string option, string text, int index)
    {
        string where = $"{option} {text}";
        PropertyList properties = PropertyList.Parse(where, text, "file", "format", "cache", "id", "readonly");
        string path = properties.Find("file") ?? "";
        if (path.Length == 0)
        {
            throw new UsageException($"{where}: no image named; allowed: file=PATH");
        }

        string id = properties.Find("id") ?? $"disk{index}";
        if (id.Length == 0 || Encoding.UTF8.GetByteCount(id) > DriveConfig.IdBytesMax)
        {
            throw new UsageException($"{where}: id '{id}' is no drive name; allowed: 1 to {DriveConfig.IdBytesMax} bytes");
        }

        string format = properties.Find("format") ?? "raw";
        if (format != "raw")
        {
            throw new UsageException($"{where}: format={format} is not known; allowed: raw");
        }

        return new DriveConfig(id, path)
        {
            Format = format,
            Cache = ParseCache(where, properties.Find("cache") ?? "writeback"),
            IsReadOnly = properties.IsOn("readonly", otherwise: false),
        };
    }

    private static CacheMode ParseCache(string where, string name)
    {
        foreach ((string known, CacheMode mode) in s_cacheModes)
        {
            if (known == name)
            {
                return mode;
            }
        }

        string allowed = string.Join(", ", Array.ConvertAll(s_cacheModes, entry => entry.Name));
        throw new UsageException($"{where}: cache={name} is not known; allowed: {allowed}");
    }
}
