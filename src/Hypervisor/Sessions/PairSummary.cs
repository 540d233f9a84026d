using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using Hypervisor.Guest;

namespace Hypervisor.Sessions;

/// <summary>What a run of a pair showed: numbers, and proofs that hold or do not.</summary>
internal sealed class PairSummary(
    PairConfig config, PairDrill drill, ConsoleStitch console, StepSequence steps, long stepAtKill)
{
    /// <summary>Whether the run came to its end in time.</summary>
    public required bool HasFinished { get; init; }

    /// <summary>Exit code of the standby; null when it had to be left running.</summary>
    public required int? StandbyExitCode { get; init; }

    /// <summary>Exit code of the primary; null when it had to be left running.</summary>
    public required int? PrimaryExitCode { get; init; }

    private bool HasKilled => drill.KilledNanos >= 0;

    /// <summary>Prints the summary.</summary>
    /// <returns>Whether every proof holds.</returns>
    public bool Write(TextWriter output)
    {
        output.WriteLine();
        output.WriteLine("summary");
        if (HasKilled)
        {
            WriteTakeover(output);
        }

        bool isGood = true;
        foreach ((string claim, string? fault) in Proofs())
        {
            output.WriteLine(fault is null ? $"  ok      {claim}" : $"  FAILED  {claim}: {fault}");
            isGood &= fault is null;
        }

        return isGood;
    }

    private void WriteTakeover(TextWriter output)
    {
        if (config.HasSteps)
        {
            output.WriteLine($"  guest step that the outside had seen at the kill    {stepAtKill}");
        }

        output.WriteLine($"  last acknowledged epoch that the primary reported   {drill.AcknowledgedEpoch}");
        output.WriteLine($"  epoch that the standby carried on from              {Or(drill.TakeoverEpoch, "none")}");
        output.WriteLine($"  from the kill to the first guest instruction        {TakeoverTime()}");
        output.WriteLine($"  console bytes printed again and dropped as seen     {console.RepeatedBytes}");
        if (config.HasSteps)
        {
            output.WriteLine($"  last guest step that the outside saw                {steps.LastStep}");
        }
    }

    private IEnumerable<(string Claim, string? Fault)> Proofs()
    {
        yield return ("the run came to its end", HasFinished ? null : "the standby did not take over in time");
        yield return HasKilled
            ? ("the standby ended cleanly", StandbyExitCode == 0 ? null : $"exit code {Describe(StandbyExitCode)}")
            : ("both halves ended cleanly", PrimaryExitCode == 0 && StandbyExitCode == 0
                ? null
                : $"exit codes {Describe(PrimaryExitCode)} and {Describe(StandbyExitCode)}");
        if (HasKilled)
        {
            yield return (
                "the guest carried on at the standby",
                drill.FirstInstructionNanos >= 0 ? null : "it did not");
            yield return ("no acknowledged epoch was lost", drill.TakeoverEpoch >= drill.AcknowledgedEpoch
                ? null
                : $"epoch {drill.AcknowledgedEpoch} was acknowledged, the standby had {drill.TakeoverEpoch}");
            yield return ("no console output was lost, doubled or invented", console.Fault);
        }

        if (config.HasSteps)
        {
            yield return (
                $"steps {steps.FirstStep} to {steps.LastStep} were seen, each once and in order",
                StepFault());
            foreach ((string claim, string? fault) in DiskProofs())
            {
                yield return (claim, fault);
            }
        }
    }

    /// <summary>
    /// A step is printed after its flush, so every step that the outside saw must be on the disk that the guest
    /// ended with.
    /// </summary>
    private IEnumerable<(string Claim, string? Fault)> DiskProofs()
    {
        for (int index = 0; index < config.StandbyDrives.Count; index++)
        {
            if (config.StandbyDrives[index].IsReadOnly)
            {
                continue;
            }

            RecordCheck check = RecordCheck.OfFile(config.StandbyDrives[index].File, (uint)index);
            string? fault = check.Fault ?? (check.HighestStep >= (ulong)Math.Max(steps.LastStep, 0)
                ? null
                : $"step {steps.LastStep} was seen, the disk ends with step {check.HighestStep}");
            yield return (
                $"every flushed record is on the standby's disk {index} (up to step {check.HighestStep})",
                fault);
        }
    }

    private string? StepFault() => steps.Fault
        ?? (steps.LastStep < 0 ? "no step was seen"
            : HasKilled && steps.LastStep <= stepAtKill ? "the guest made no step after the kill" : null);

    private string TakeoverTime() => drill.FirstInstructionNanos < 0
        ? "never"
        : ((drill.FirstInstructionNanos - drill.KilledNanos) / 1e6).ToString("0.0 ms", CultureInfo.InvariantCulture);

    private static string Or(long value, string otherwise)
        => value < 0 ? otherwise : value.ToString(CultureInfo.InvariantCulture);

    private static string Describe(int? exitCode)
        => exitCode?.ToString(CultureInfo.InvariantCulture) ?? "none (still running)";
}
