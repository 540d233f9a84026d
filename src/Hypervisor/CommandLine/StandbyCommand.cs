using System;
using System.CommandLine;
using Hypervisor.Machine;
using Hypervisor.Sessions;

namespace Hypervisor.CommandLine;

/// <summary>`hv standby`: waits for a primary, holds its last committed epoch, and carries the guest on.</summary>
internal static class StandbyCommand
{
    private static readonly Option<string> s_listen = OptionShapes.One(
        "--listen", "HOST:PORT", "Address that the primary connects to; port 0 lets the host choose.");

    private static readonly Option<string> s_standby = OptionShapes.One(
        "--standby",
        "HOST:PORT",
        "Once the guest runs here: protect it by the standby that listens there, as soon as there is one.");

    private static readonly Option<bool> s_follow = OptionShapes.Switch(
        "--follow", "When one primary is through, wait for the next one instead of ending.");

    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var command = new HelpfulCommand(
            "standby",
            "Waits for a primary and carries its guest on when it dies. Memory, CPUs and drives as on the primary; "
            + "no kernel.",
            "hv standby --listen 0.0.0.0:7000 --drive file=copy.img --witness file:/shared/pair",
            "hv standby --listen 0.0.0.0:7000 --standby 10.0.0.1:7000 --follow --drive file=copy.img "
            + "--witness etcd:http://10.0.0.3:2379")
        {
            s_listen,
            s_standby,
            s_follow,
            ReportOption.Definition,
        };
        MachineOptions.AddTo(command);
        ProtectionOptions.AddTo(command);
        command.SetAction(Run);
        return command;
    }

    private static int Run(ParseResult words)
    {
        Endpoint listen = Endpoint.Parse("--listen", words.GetValue(s_listen)
            ?? throw new UsageException("--listen: missing; allowed: HOST:PORT"), portMin: 0);
        Endpoint? next = words.GetValue(s_standby) is { } address ? Endpoint.Parse("--standby", address) : null;
        ProtectionConfig protection = ProtectionOptions.Read(words);
        MachineConfig machine = Protectable.Check(MachineOptions.Read(words, TimeProvider.System));
        if (machine.Kernel is not null || machine.Firmware is not null)
        {
            throw new UsageException(
                "--kernel: a standby gets its RAM from the primary; allowed: no kernel, no firmware");
        }

        using StatusReport report = ReportOption.Open(words);
        return StandbySession.Run(machine, protection, listen, next, words.GetValue(s_follow), report);
    }
}
