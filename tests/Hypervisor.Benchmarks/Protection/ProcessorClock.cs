using System;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Hypervisor.Benchmarks.Protection;

/// <summary>What the processors did up to a moment. Spec: Linux proc(5), /proc/stat and /proc/PID/stat.</summary>
/// <param name="Busy">Seconds of all processors, of everybody.</param>
/// <param name="Ours">Of them, seconds of the processes asked about.</param>
/// <param name="Vcpu">Of them, seconds of the first one's vCPU threads.</param>
internal readonly record struct ProcessorClock(double Busy, double Ours, double Vcpu)
{
    private const double TicksPerSecond = 100; // USER_HZ, the same on every x86-64 Linux
    // user nice system idle iowait irq softirq steal
    private const int IdleField = 3, WaitField = 4, AccountedFields = 8;
    private const int UserField = 11, SystemField = 12; // counted behind the name, which may hold blanks
    private const string VcpuName = ": vCPU ";

    /// <summary>Reads it now; processes and threads that are gone count nothing.</summary>
    public static ProcessorClock Read(params int[] processes)
    {
        double[] all =
        [
            .. File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries)
                .Skip(1).Take(AccountedFields).Select(Ticks),
        ];
        double busy = all.Sum() - all[IdleField] - all[WaitField];
        double vcpu = Threads(processes[0]).Sum(thread => Used(thread, VcpuName));
        double ours = processes.Sum(process => Used($"/proc/{process}"));
        return new ProcessorClock(busy / TicksPerSecond, ours / TicksPerSecond, vcpu / TicksPerSecond);
    }

    private static string[] Threads(int process)
    {
        try
        {
            return Directory.GetDirectories($"/proc/{process}/task");
        }
        catch (IOException)
        {
            return []; // it ended between two looks
        }
    }

    // Ticks of a process or a thread; 0 when its name does not hold the one asked for.
    private static double Used(string folder, string name = "")
    {
        string stat;
        try
        {
            stat = File.ReadAllText(Path.Combine(folder, "stat"));
        }
        catch (IOException)
        {
            return 0; // it ended between two looks
        }

        if (!stat.Contains(name, StringComparison.Ordinal))
        {
            return 0;
        }

        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return Ticks(fields[UserField]) + Ticks(fields[SystemField]);
    }

    private static double Ticks(string text) => double.Parse(text, CultureInfo.InvariantCulture);
}
