using System.CommandLine;

namespace Hypervisor.CommandLine;

/// <summary>A command whose help ends with examples.</summary>
internal sealed class HelpfulCommand(string name, string description, params string[] examples)
    : Command(name, description)
{
    /// <summary>Command lines to copy.</summary>
    public string[] Examples => examples;
}
