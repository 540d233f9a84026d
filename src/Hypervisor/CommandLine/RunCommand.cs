using System;
using System.CommandLine;
using Hypervisor.Control;
using Hypervisor.Machine;
using Hypervisor.Sessions;

namespace Hypervisor.CommandLine;

/// <summary>`hv run`: one guest, alone or as the primary of a pair.</summary>
internal static class RunCommand
{
    private static readonly Option<string> s_standby = OptionShapes.One(
        "--standby", "HOST:PORT", "Protect the guest: send every epoch to the standby that listens there.");

    private static readonly Option<bool> s_stats = OptionShapes.Switch(
        "--stats", "At the end, print what the engine did: code translated, TLB misses, exits by reason.");

    private static readonly Option<string> s_trace = OptionShapes.One(
        "--trace", "WHAT", "blocks: print each piece of code that is translated, guest and host side by side.");

    private static readonly Option<bool> s_perfMap = OptionShapes.Switch(
        "--perf-map", "Write /tmp/perf-PID.map, so that perf names the guest's code.");

    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var command = new HelpfulCommand(
            "run",
            "Runs a guest on this host; with --standby as the primary of a pair.",
            "hv run --kernel vmlinuz --initrd initrd.img --append console=ttyS0 --drive file=disk.img",
            "hv run --drive file=disk.img,cache=none --memory 2G --serial tcp:127.0.0.1:4555,server",
            "hv run --guest counting --drive file=data.img --standby 10.0.0.2:7000 --psk-file pair.key "
            + "--witness file:/shared/pair")
        {
            s_standby,
            s_stats,
            s_trace,
            s_perfMap,
            ReportOption.Definition,
        };
        WatchOptions.AddTo(command);
        MachineOptions.AddTo(command);
        ProtectionOptions.AddTo(command);
        LinkOptions.AddTo(command);
        command.SetAction(Run);
        return command;
    }

    private static int Run(ParseResult words)
    {
        using PerfMap? map = words.GetValue(s_perfMap) ? PerfMap.Open() : null;
        if (words.GetValue(s_standby) is not { } address)
        {
            return ProtectionOptions.AreGiven(words) || LinkOptions.AreGiven(words)
                ? throw new UsageException("--standby: missing, but the guest is to be protected; allowed: HOST:PORT")
                : RunAlone(words, ReadMachine(words, map));
        }

        Endpoint standby = Endpoint.Parse("--standby", address);
        ProtectionConfig protection = ProtectionOptions.Read(words) with
        {
            Link = LinkOptions.Read(words, (s_standby, standby)),
        };
        MachineConfig machine = Protectable.Check(ReadMachine(words, map));
        using StatusReport report = ReportOption.Open(words);
        using GuestWatch watch = WatchOptions.Open(words, machine, GuestRole.Primary, report.Events);
        return PrimarySession.Run(machine, protection, standby, report, watch);
    }

    private static int RunAlone(ParseResult words, MachineConfig machine)
    {
        using GuestWatch watch = WatchOptions.Open(words, machine, GuestRole.Alone, new EventFeed());
        return Session.Run(machine, words.GetValue(s_stats), watch);
    }

    private static MachineConfig ReadMachine(ParseResult words, PerfMap? map)
        => Bootable.Check(MachineOptions.Read(words, TimeProvider.System)) with
        {
            OnTranslated = ReadTrace(words.GetValue(s_trace)),
            OnCode = map is null ? null : map.Add,
        };

    private static Action<string>? ReadTrace(string? what) => what switch
    {
        null => null,
        "blocks" => System.Console.Error.WriteLine,
        _ => throw new UsageException($"--trace: '{what}' is not known; allowed: blocks"),
    };
}
