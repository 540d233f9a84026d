using System;
using System.IO;
using System.Threading;
using Hypervisor.CommandLine;
using Hypervisor.Core.Time;
using Hypervisor.Machine;

namespace Hypervisor.Sessions;

/// <summary>Boots a guest without anybody watching and holds its console against a script.</summary>
internal static class BootTest
{
    private const int LinesShown = 20;

    /// <summary>Runs the guest until the script is met, the time is over, or the guest ended.</summary>
    /// <returns>0 only when every step was met in order.</returns>
    public static int Run(MachineConfig config, BootTestConfig test)
    {
        var clock = new HostClock();
        var script = new BootScript(test.Steps, clock);
        using var isOver = new ManualResetEventSlim(false);
        var serials = SerialStreams.Open(config.Serials, _ => { });
        serials[0] = new ScriptStream(script, serials[0], isOver.Set);

        string? failure;
        using (var guest = new GuestMachine(config, serials))
        {
            guest.Start();
            failure = Watch(guest, script, test.Timeout, clock, isOver);
            guest.RequestEnd("the boot test is over");
        }

        if (test.JUnitPath is not null)
        {
            WriteReport(test.JUnitPath, config.Name, script, failure, clock.NowNanos);
        }

        return Conclude(config.Name, script, failure);
    }

    private static string? Watch(
        GuestMachine guest, BootScript script, TimeSpan timeout, HostClock clock, ManualResetEventSlim isOver)
    {
        GuestEnd? end = null;
        while (!script.IsDone && end is null)
        {
            TimeSpan spent = TimeSpan.FromTicks((clock.NowNanos - script.StartNanos) / TimeSpan.NanosecondsPerTick);
            if (spent >= timeout)
            {
                return Describe(script, $"not met within {DurationText.Write(timeout)}");
            }

            end = guest.WaitForEnd(TimeSpan.FromMilliseconds(20));
        }

        // The guest's last words may still be on their way to the script.
        _ = end is not null && isOver.Wait(TimeSpan.FromMilliseconds(200));
        return script.IsDone ? null : Describe(script, $"not met before the guest ended ({end!.Reason})");
    }

    private static string Describe(BootScript script, string what)
        => $"step {script.DoneCount + 1} of {script.Steps.Count}, {script.Steps[script.DoneCount]}: {what}";

    private static void WriteReport(string path, string name, BootScript script, string? failure, long endNanos)
    {
        try
        {
            using FileStream file = File.Create(path);
            JUnitReport.Write(file, name, script, failure, endNanos);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new FailureException($"--junit {path}: {HostErrors.Explain(error, path)}");
        }
    }

    private static int Conclude(string name, BootScript script, string? failure)
    {
        if (failure is null)
        {
            System.Console.Out.WriteLine($"boot-test {name}: passed, {script.Steps.Count} steps");
            return ExitCode.Success;
        }

        System.Console.Error.WriteLine($"last lines of the console:\n{script.LastLines(LinesShown)}\n");
        throw new FailureException($"boot-test {name}: {failure}");
    }
}
