using System.CommandLine;
using System.IO;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Session;

namespace Hypervisor.CommandLine;

/// <summary>`hv witness show`: the record that decides who may run.</summary>
internal static class WitnessCommand
{
    /// <summary>Builds the command.</summary>
    public static Command Build() => new HelpfulCommand(
        "witness", "Looks at a pair's witness.", "hv witness show file:/shared/pair",
        "hv witness show etcd:http://10.0.0.5:2379")
    {
        BuildShow(),
    };

    private static HelpfulCommand BuildShow()
    {
        var where = new Argument<string>("witness") { Description = "file:PATH or etcd:URL, as for --witness." };
        var command = new HelpfulCommand(
            "show", "Prints the record: who may run, and whether the standby may take over.",
            "hv witness show file:/shared/pair") { where };
        command.SetAction(words => Show(
            WitnessText.Parse("witness", words.GetRequiredValue(where)), words.InvocationConfiguration.Output));
        return command;
    }

    private static int Show(WitnessText where, TextWriter output)
    {
        using Witness witness = where.Open(new HostClock());
        if (!witness.TryRead(out WitnessRecord? record))
        {
            throw new FailureException(witness.LastError);
        }

        output.WriteLine(record is null ? "no record: no pair has used this witness" : Describe(record));
        return ExitCode.Success;
    }

    private static string Describe(WitnessRecord record)
    {
        string standby = record.IsStandbyInSync ? "in sync: it may take over"
            : record.OutdatedSince != 0 ? $"outdated since generation {record.OutdatedSince}: it may not take over"
            : "not in sync: it may not take over";
        return $"""
            pair        {record.PairId}
            generation  {record.Generation} (revision {record.Revision})
            guest       {(record.Phase == WitnessPhase.Running ? "runs" : "has ended")}
            runner      {record.Runner}
            standby     {record.Standby}, {standby}
            incarnation {record.Incarnation:x16}
            """;
    }
}
