using System;
using System.Collections.Generic;
using System.Text;
using Hypervisor.Backends.Block;
using Hypervisor.Machine;

namespace Hypervisor.CommandLine;

/// <summary>`--drive file=PATH,format=raw,cache=writeback,id=NAME,readonly=on|off,discard=ignore|unmap`.</summary>
internal static class DriveText
{
    private const int IdBytesMax = 20; // what a virtio-blk serial number holds. Spec: VIRTIO 1.2, section 5.2.6

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
    public static List<DriveOptions> ParseAll(string option, IReadOnlyList<string> texts)
    {
        List<DriveOptions> drives = [];
        foreach (string text in texts)
        {
            DriveOptions drive = Parse(option, text, drives.Count);
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
    public static string Write(DriveOptions drive)
    {
        string cache = Array.Find(s_cacheModes, entry => entry.Mode == drive.Cache).Name;
        return $"file={PropertyList.Quote(drive.File)},format={drive.Format},cache={cache}"
            + $",id={PropertyList.Quote(drive.Id)}"
            + $",readonly={(drive.IsReadOnly ? "on" : "off")},discard={(drive.IsDiscardPassed ? "unmap" : "ignore")}"
            + (drive.IsShared ? ",shared=on" : "");
    }

    private static DriveOptions Parse(string option, string text, int index)
    {
        string where = $"{option} {text}";
        PropertyList properties = PropertyList.Parse(
            where, text, "file", "format", "cache", "id", "readonly", "discard", "shared");
        string path = properties.Find("file") ?? "";
        if (path.Length == 0)
        {
            throw new UsageException($"{where}: no image named; allowed: file=PATH");
        }

        string id = properties.Find("id") ?? $"disk{index}";
        if (id.Length == 0 || Encoding.UTF8.GetByteCount(id) > IdBytesMax)
        {
            throw new UsageException(
                $"{where}: id '{id}' is no drive name; allowed: 1 to {IdBytesMax} bytes");
        }

        bool isShared = properties.IsOn("shared", otherwise: false);
        if (isShared && (properties.IsOn("readonly", otherwise: false)
            || (properties.Find("cache") ?? "none") is not ("none" or "writeback")))
        {
            throw new UsageException($"{where}: a disk with shared=on is written to later, and flushed; allowed: "
                + "cache=none or cache=writeback, without readonly=on");
        }

        return new DriveOptions(path)
        {
            IsShared = isShared,
            Id = id,
            Format = ParseFormat(where, properties.Find("format") ?? "raw"),
            Cache = ParseCache(where, properties.Find("cache") ?? "writeback"),
            IsReadOnly = properties.IsOn("readonly", otherwise: false),
            IsDiscardPassed = properties.Find("discard") switch
            {
                null or "ignore" => false,
                "unmap" => true,
                string other => throw new UsageException(
                    $"{where}: discard={other} is not known; allowed: ignore, unmap"),
            },
        };
    }

    /// <summary>Checks the name of an image format.</summary>
    /// <exception cref="UsageException">No such format.</exception>
    public static string ParseFormat(string where, string name)
    {
        List<string> known = [];
        foreach (BlockFormat format in BlockFormat.All)
        {
            known.Add(format.Name);
        }

        return known.Contains(name) ? name : throw new UsageException(
            $"{where}: format={name} is not known; allowed: {string.Join(", ", known)}");
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
