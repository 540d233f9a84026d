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

    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var command = new HelpfulCommand(
            "standby",
            "Waits for a primary and carries its guest on when it dies. Memory, CPUs and drives as on the primary; "
            + "no kernel.",
            "hv standby --listen 0.0.0.0:7000 --drive file=copy.img --witness file:/shared/pair")
        {
            s_listen,
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
        ProtectionConfig protection = ProtectionOptions.Read(words);
        MachineConfig machine = Protectable.Check(MachineOptions.Read(words, TimeProvider.System));
        if (machine.Kernel is not null || machine.Firmware is not null)
        {
            throw new UsageException(
                "--kernel: a standby gets its RAM from the primary; allowed: no kernel, no firmware");
        }

        using StatusReport report = ReportOption.Open(words);
        return StandbySession.Run(machine, protection, listen, report);
    }
}
