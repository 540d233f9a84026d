using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.IO;

namespace Hypervisor.CommandLine;

/// <summary>`--help`: the library's page, then the command's examples.</summary>
internal sealed class HelpWithExamples(HelpAction page) : SynchronousCommandLineAction
{
    /// <inheritdoc/>
    public override bool ClearsParseErrors => true;

    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        int code = page.Invoke(parseResult);
        if (parseResult.CommandResult.Command is HelpfulCommand { Examples.Length: > 0 } command)
        {
            TextWriter output = parseResult.InvocationConfiguration.Output;
            output.WriteLine("Examples:");
            foreach (string example in command.Examples)
            {
                output.WriteLine($"  {example}");
            }

            output.WriteLine();
        }

        return code;
    }
}
