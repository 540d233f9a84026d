using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Hypervisor.Benchmarks.Kit;

/// <summary>What the kit's run.py wrote about one process: NAME.tsv, NAME.json and NAME.log.</summary>
/// <param name="Label">What ran: native, pc, hv; with `-boot` or `-par` for those runs.</param>
/// <param name="Rows">Benchmarks that ended, in order.</param>
/// <param name="BootSeconds">From the start of the process to the guest's first word; null when it never came.</param>
/// <param name="IsDone">Whether the guest reached its end.</param>
/// <param name="Ending">Why the run ended.</param>
/// <param name="Unfinished">Benchmarks that began and did not end.</param>
/// <param name="Complaints">What the guest reported as failed.</param>
/// <param name="Tail">Last lines of the console.</param>
internal sealed partial record KitRun(
    string Label,
    IReadOnlyList<KitRow> Rows,
    double? BootSeconds,
    bool IsDone,
    string Ending,
    IReadOnlyList<string> Unfinished,
    IReadOnlyList<string> Complaints,
    IReadOnlyList<string> Tail)
{
    private const int TailLines = 12;
    private const double StampSecondsMax = 0.02, StampShareMax = 0.2; // what host and guest may disagree by

    /// <summary>Reads every run in a folder, in the order of their names.</summary>
    public static IReadOnlyList<KitRun> LoadAll(string folder) =>
    [
        .. Directory.EnumerateFiles(folder, "*.json").Order(StringComparer.Ordinal)
            .Where(file => FileName().IsMatch(Path.GetFileName(file)))
            .Select(file => Load(Path.ChangeExtension(file, null))),
    ];

    /// <summary>Number of the last run in a folder; 0 when there is none.</summary>
    public static int LastNumber(string folder) => Directory.EnumerateFiles(folder, "*.json")
        .Select(file => FileName().Match(Path.GetFileName(file)))
        .Where(name => name.Success)
        .Select(name => int.Parse(name.Groups["number"].Value, CultureInfo.InvariantCulture))
        .DefaultIfEmpty().Max();

    /// <summary>Reads one run; <paramref name="path"/> is the files' name without its extension.</summary>
    public static KitRun Load(string path)
    {
        using var facts = JsonDocument.Parse(File.ReadAllText(path + ".json"));
        JsonElement root = facts.RootElement;
        return new KitRun(
            FileName().Match(Path.GetFileName(path) + ".json").Groups["label"].Value,
            [.. File.ReadLines(path + ".tsv").Skip(1).Select(ParseRow)],
            root.TryGetProperty("boot_s", out JsonElement boot) ? boot.GetDouble() : null,
            root.GetProperty("done").GetBoolean(),
            root.GetProperty("ended").GetString()!,
            Texts(root.GetProperty("open")),
            Texts(root.GetProperty("fails")),
            [.. File.ReadLines(path + ".log").TakeLast(TailLines), .. Errors(path + ".err")]);
    }

    private static IEnumerable<string> Errors(string file)
        => File.Exists(file) ? File.ReadLines(file).TakeLast(TailLines) : [];

    private static KitRow ParseRow(string line)
    {
        // name, host_s, host_cpu_s, guest_s, other, rc, check
        string[] fields = line.Split('\t');
        bool isLate = fields[3].Length > 0 && IsLate(Number(fields[1]), Number(fields[3]));
        return new KitRow(
            fields[0], isLate ? double.NaN : Number(fields[1]), isLate ? double.NaN : Number(fields[2]),
            Number(fields[4]), fields[5], fields[6]);
    }

    /// <remarks>
    /// On a crowded machine the console is read in bursts, and two lines that are seconds apart get one stamp.
    /// </remarks>
    private static bool IsLate(double host, double guest)
        => Math.Abs(host - guest) > Math.Max(StampSecondsMax, StampShareMax * guest);

    private static string[] Texts(JsonElement list) => [.. list.EnumerateArray().Select(text => text.GetString()!)];

    private static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);

    // A run that ended early is carried on in parts: hv.r1, hv~2.r1, hv~3.r1.
    [GeneratedRegex(@"^(?<label>[a-z0-9-]+)(~\d+)?\.r(?<number>\d+)\.json$")]
    private static partial Regex FileName();
}
