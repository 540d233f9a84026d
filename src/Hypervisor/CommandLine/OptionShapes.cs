using System.CommandLine;

namespace Hypervisor.CommandLine;

/// <summary>
/// The three shapes of options that `hv` has; their values are parsed by the command, not by the library.
/// </summary>
internal static class OptionShapes
{
    /// <summary>An option with one value, given at most once.</summary>
    public static Option<string> One(string name, string value, string description, params string[] aliases)
        => new(name, aliases) { HelpName = value, Description = description };

    /// <summary>An option with one value that may be repeated.</summary>
    public static Option<string[]> Many(string name, string value, string description)
        => new(name) { HelpName = value, Description = description };

    /// <summary>An option without a value.</summary>
    public static Option<bool> Switch(string name, string description) => new(name)
    {
        Description = description,
        Arity = ArgumentArity.Zero,
    };
}
