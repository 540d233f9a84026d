using System;
using System.Diagnostics;
using System.Linq;
using System.Text;
using System.Threading;

namespace Hypervisor.Benchmarks.Systemd;

/// <summary>One boot of the installation to its login prompt.</summary>
/// <param name="Name">What ran, as a report calls it.</param>
/// <param name="Seconds">From the start of the process to the prompt on the console; NaN when it never came.</param>
/// <param name="CpuSeconds">Processor time of the process until then; NaN likewise.</param>
/// <param name="Console">Everything on the console, then what the process said of its own.</param>
internal sealed record SystemdBoot(string Name, double Seconds, double CpuSeconds, string Console)
{
    private const string Prompt = "login:";
    private const int ReadChars = 65536;
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);

    // What the kernel or systemd prints, `quiet` or not, when a boot did not go well.
    private static readonly string[] s_bad =
        ["[FAILED]", "Failed to start", "[DEPEND]", "Kernel panic", "emergency mode"];

    /// <summary>What went wrong; null when nothing did.</summary>
    public string? Fault => Console.Split('\n').FirstOrDefault(line => s_bad.Any(line.Contains))?.Trim()
        ?? (double.IsFinite(Seconds) ? null : $"no {Prompt} came; its last words: {Tail()}");

    /// <summary>Starts a machine, waits for the prompt, ends the machine.</summary>
    public static SystemdBoot Run(SystemdTarget target)
    {
        var console = new StringBuilder();
        var errors = new StringBuilder();
        long began = Stopwatch.GetTimestamp();
        using Process process = Process.Start(StartOf(target))!;
        double seconds = double.NaN, cpuSeconds = double.NaN;
        process.ErrorDataReceived += (_, line) => errors.AppendLine(line.Data); // one at a time; read after the end
        process.BeginErrorReadLine();
        using (new Timer(_ => process.Kill(), null, s_patience, Timeout.InfiniteTimeSpan))
        {
            char[] text = new char[ReadChars];
            while (double.IsNaN(seconds) && process.StandardOutput.Read(text) is > 0 and int count)
            {
                console.Append(text, 0, count);
                if (EndsInPrompt(console, count))
                {
                    seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
                    process.Refresh();
                    cpuSeconds = process.TotalProcessorTime.TotalSeconds;
                }
            }
        }

        process.Kill();
        process.WaitForExit();
        return new SystemdBoot(target.Name, seconds, cpuSeconds, console.Append('\n').Append(errors).ToString());
    }

    private static ProcessStartInfo StartOf(SystemdTarget target)
    {
        // Whoever stops the measurement stops the guest.
        string[] words = ["--pdeathsig", "KILL", .. target.Command];
        return new ProcessStartInfo("setpriv", words)
        {
            RedirectStandardInput = true, // and never written to
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
    }

    // The prompt may have come in two pieces; what came before the last one has been looked at.
    private static bool EndsInPrompt(StringBuilder console, int count)
    {
        int length = Math.Min(console.Length, count + Prompt.Length);
        return console.ToString(console.Length - length, length).Contains(Prompt, StringComparison.Ordinal);
    }

    private string Tail()
    {
        const int Lines = 12;
        return string.Join(
            " / ", Console.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
                .TakeLast(Lines));
    }
}
