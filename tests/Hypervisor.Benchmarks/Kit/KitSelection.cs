using System;
using System.Collections.Generic;
using System.Linq;

namespace Hypervisor.Benchmarks.Kit;

/// <summary>What of the kit is to be run.</summary>
/// <param name="Items">In the order in which they run.</param>
/// <param name="Boots">Whether boot times are taken.</param>
/// <param name="Pairs">Whether the benchmarks for two vCPUs run.</param>
/// <param name="Scale">Share of the usual work; checksums of one scale only are comparable.</param>
internal sealed record KitSelection(IReadOnlyList<KitItem> Items, bool Boots, bool Pairs, double Scale)
{
    private const double QuickScale = 0.1;
    private static readonly string[] s_microGroups = ["int", "mem", "vec", "fp", "code", "smc", "sys"];

    // The names that the kit's suite.sh prints for its words.
    private static readonly KitItem[] s_tools =
    [
        Tool("shloop"), Tool("shfork"), Tool("python"), Tool("pystart"), Tool("sha256", "ossl_sha256"),
        Tool("aes", "ossl_aes128cbc"), Tool("rsa", "ossl_rsa2048"), Tool("gzip", "gzip9"), Tool("zstd", "zstd9"),
        Tool("xz", "xz6"), Tool("unxz"), Tool("7z", "7z_lzma"), Tool("gcc"), Tool("sqlite"), Tool("untar"),
        Tool("speed", "speed_sha256", "speed_aes128cbc", "speed_rsa2048"),
    ];

    private static readonly KitItem s_fio = new(
        "fio",
        [
            "fio_rr_q1", "fio_rr_q32", "fio_rw_q1", "fio_rw_q32", "fio_rw_q1_sync", "fio_rw_q32_sync", "fio_sr_1m",
            "fio_sw_1m",
        ]);

    /// <summary>The benchmarks for one and two vCPUs, as they are named in the results.</summary>
    public static IReadOnlyList<string> PairRows { get; } = ["par1_sha256", "par1_vm", "par2_sha256", "par2_vm"];

    /// <summary>Reads words joined by commas: a group, a benchmark, or `one:TOOL`.</summary>
    /// <param name="words">What the user asked for.</param>
    /// <param name="listing">Lines of `kbench list`: group, benchmark, and what it does.</param>
    /// <exception cref="FormatException">A word is none of them.</exception>
    public static KitSelection Parse(string words, IEnumerable<string> listing)
    {
        (string Group, string Name)[] known =
        [
            .. listing.Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
                .Where(fields => fields.Length >= 2).Select(fields => (fields[0], fields[1])),
        ];
        var selection = new KitSelection([], false, false, 1);
        foreach (string word in words.Split(','))
        {
            selection = word switch
            {
                "all" => new KitSelection(
                    [.. selection.Items, .. Group(known, s_microGroups), .. Group(known, "blk"), .. s_tools, s_fio],
                    true, true, selection.Scale),
                "boot" => selection with { Boots = true },
                "par" => selection with { Pairs = true },
                "quick" => selection.And(Group(known, s_microGroups)) with { Scale = QuickScale },
                "micro" => selection.And(Group(known, s_microGroups)),
                "tools" => selection.And(s_tools),
                "fio" => selection.And([s_fio]),
                _ => selection.And(Named(known, word)),
            };
        }

        return selection with { Items = [.. selection.Items.DistinctBy(item => item.Word)] };
    }

    /// <summary>What is still to be run after a run that ended early.</summary>
    /// <remarks>An item that was begun is not begun again; when none was, the first one is given up.</remarks>
    public static IReadOnlyList<KitItem> After(IReadOnlyList<KitItem> items, KitRun run)
    {
        HashSet<string> seen = [.. run.Rows.Select(row => row.Name), .. run.Unfinished];
        int begun = 0;
        for (int i = 0; i < items.Count; i++)
        {
            begun = items[i].Rows.Any(seen.Contains) ? i + 1 : begun;
        }

        return [.. items.Skip(Math.Max(1, begun))];
    }

    private KitSelection And(IEnumerable<KitItem> more) => this with { Items = [.. Items, .. more] };

    private static IEnumerable<KitItem> Group((string Group, string Name)[] known, params string[] groups)
        => known.Where(row => groups.Contains(row.Group)).Select(row => new KitItem(row.Name, [row.Name]));

    private static KitItem[] Named((string Group, string Name)[] known, string word)
    {
        KitItem[] found =
        [
            .. known.Where(row => row.Name == word || row.Group == word)
                .Select(row => new KitItem(row.Name, [row.Name])),
            .. s_tools.Where(tool => tool.Word == word),
        ];
        return found.Length > 0 ? found : throw new FormatException(
            $"-k {word}: neither a group (all, boot, micro, quick, tools, blk, fio, par, "
            + $"{string.Join(", ", s_microGroups)}) nor a benchmark nor one:TOOL");
    }

    private static KitItem Tool(string word, params string[] rows) => new("one:" + word, rows is [] ? [word] : rows);
}
