using System.CommandLine;

namespace Hypervisor.CommandLine;

/// <summary>`hv pair`: both halves on this host.</summary>
internal static class PairCommand
{
    /// <summary>Builds the command.</summary>
    public static Command Build() => new HelpfulCommand("pair", "Runs a primary and a standby on this host.");
}
