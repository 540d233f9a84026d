using System.CommandLine;

namespace Hypervisor.CommandLine;

/// <summary>`hv help [COMMAND…]`: the same page as `hv COMMAND --help`.</summary>
internal static class HelpCommand
{
    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var about = new Argument<string[]>("command")
        {
            Arity = ArgumentArity.ZeroOrMore,
            Description = "The command to explain.",
        };
        var command = new HelpfulCommand("help", "Explains a command.", "hv help run", "hv help img create") { about };
        command.SetAction(words => CommandCatalog.Run(
            [.. words.GetValue(about) ?? [], "--help"], words.InvocationConfiguration));
        return command;
    }
}
