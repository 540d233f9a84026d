using System.CommandLine;
using System.Globalization;
using Hypervisor.Sessions;

namespace Hypervisor.CommandLine;

/// <summary>`--report-fd N`: machine-readable status lines for the process that started this one.</summary>
internal static class ReportOption
{
    /// <summary>The option; left out of the help's main path because people read the status on stderr.</summary>
    public static readonly Option<string> Definition = OptionShapes.One(
        "--report-fd", "NUMBER", "Write status as JSON lines to this inherited file descriptor.");

    /// <summary>Opens the descriptor; without the option, status goes to stderr as text.</summary>
    /// <exception cref="UsageException">Not a number of an open descriptor.</exception>
    public static StatusReport Open(ParseResult words)
    {
        string? text = words.GetValue(Definition);
        if (text is null)
        {
            return StatusReport.ToText(System.Console.Error);
        }

        bool isNumber = int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int descriptor);
        return isNumber && descriptor > 2 && StatusReport.TryOpen(descriptor) is { } report
            ? report
            : throw new UsageException(
                $"--report-fd: '{text}' is no open descriptor; allowed: one above 2 that was inherited");
    }
}
