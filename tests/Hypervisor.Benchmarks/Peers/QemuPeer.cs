using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json;

namespace Hypervisor.Benchmarks.Peers;

/// <summary>QEMU's own ways to another host, by the kit's scripts: what they say is one JSON object.</summary>
/// <param name="kit">The kit's folder.</param>
/// <param name="files">What its build.sh made.</param>
/// <param name="qemu">qemu-system-x86_64.</param>
/// <param name="work">Folder for what runs.</param>
internal sealed class QemuPeer(string kit, string files, string qemu, string work)
{
    private const int ColoDelayMillis = 50; // as the epochs that are compared with it

    /// <summary>Live migration: the pause and the whole, or how far it came.</summary>
    public string Migrate(string load) => Describe(
        ["migrate.py", files, load, "--settle", "5", "--limit", "30", "--rates", "0"],
        said => said.TryGetProperty("not_converged_after_s", out JsonElement seconds)
            ? $"not over after {Text(seconds)} s, {Field(said, "ram_sent_MiB")} MiB sent"
            : $"{Field(said, "pause_ms_by_events")} ms (QEMU says {Field(said, "qemu_downtime_ms")}), whole "
                + $"{Field(said, "qemu_total_ms")} ms, {Field(said, "ram_sent_MiB")} MiB sent");

    /// <summary>COLO: the pauses of its checkpoints.</summary>
    public string Colo(string load, double seconds) => Describe(
        [
            "colo.py", files, load, ColoDelayMillis.ToString(CultureInfo.InvariantCulture),
            seconds.ToString(CultureInfo.InvariantCulture),
        ],
        said => said.TryGetProperty("pause_ms_median", out JsonElement median)
            ? $"{Text(median)} / {Field(said, "pause_ms_p95")} / {Field(said, "pause_ms_max")} ms, "
                + $"{Field(said, "checkpoints_per_s")} a second"
            : $"no checkpoints: {Field(said, "exception")} {Field(said, "error")}");

    private string Describe(string[] words, Func<JsonElement, string> describe)
    {
        try
        {
            string script = Path.Combine(kit, "ft", words[0]);
            string text = HostCommand.Output(
                "env", [$"QEMU={qemu}", $"KB_WORK={work}", "python3", script, .. words[1..]]);
            string[] lines = text.Split('\n');
            using var said = JsonDocument.Parse(lines.Last(line => line.StartsWith('{')));
            return describe(said.RootElement) + lines.LastOrDefault(
                line => line.Contains("ssertion", StringComparison.Ordinal))?.Insert(0, "; ");
        }
        catch (Exception error) when (error is InvalidOperationException or JsonException)
        {
            return $"failed: {error.Message.Split('\n')[0]}"; // one that can't be had is no reason to lose the others
        }
    }

    private static string Field(JsonElement said, string name)
        => said.TryGetProperty(name, out JsonElement value) ? Text(value) : "–";

    private static string Text(JsonElement value)
        => value.ValueKind == JsonValueKind.Null ? "–" : value.ToString();
}
