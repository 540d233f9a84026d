using System;
using System.Collections.Generic;
using System.CommandLine;
using System.CommandLine.Help;

namespace Hypervisor.CommandLine;

/// <summary>Every command of `hv`. To add one: a new file, and a line here.</summary>
internal static class CommandCatalog
{
    private static readonly (string Name, Func<Command> Build)[] s_commands =
    [
        ("run", RunCommand.Build),
        ("standby", StandbyCommand.Build),
        ("pair", PairCommand.Build),
        ("linux", LinuxCommand.Build),
        ("boot-test", BootTestCommand.Build),
        ("status", StatusCommand.Build),
        ("events", EventsCommand.Build),
        ("top", TopCommand.Build),
        ("stop", StopCommand.Build),
        ("takeover", TakeoverCommand.Build),
        ("drill", DrillCommand.Build),
        ("scrub", ScrubCommand.Build),
        ("balloon", BalloonCommand.Build),
        ("resize", ResizeCommand.Build),
        ("img", ImgCommand.Build),
        ("witness", WitnessCommand.Build),
        ("help", HelpCommand.Build),
    ];

    /// <summary>Names of all commands.</summary>
    public static string[] Names => Array.ConvertAll(s_commands, command => command.Name);

    /// <summary>
    /// Builds the parser. The one command that <paramref name="first"/> names is enough to start a guest.
    /// </summary>
    public static RootCommand Build(string? first)
    {
        var root = new RootCommand("Runs x86-64 guests that survive the death of their host.");
        bool isKnown = Array.Exists(s_commands, command => command.Name == first) && first != "help";
        foreach ((string name, Func<Command> build) in s_commands)
        {
            if (!isKnown || name == first)
            {
                root.Add(build());
            }
        }

        foreach (Option option in root.Options)
        {
            if (option is HelpOption { Action: HelpAction page } help)
            {
                help.Action = new HelpWithExamples(page);
            }
        }

        return root;
    }

    /// <summary>Runs one command line.</summary>
    /// <returns>The exit code.</returns>
    /// <exception cref="UsageException">The words are wrong.</exception>
    public static int Run(IReadOnlyList<string> words, InvocationConfiguration? where = null)
    {
        // No @response files and no bundled letters: `--send @x` and `--append -sh` mean what they say.
        var parser = new ParserConfiguration { ResponseFileTokenReplacer = null, EnablePosixBundling = false };
        ParseResult parsed = Build(words.Count > 0 ? words[0] : null).Parse(words, parser);
        if (parsed.Errors.Count > 0 && parsed.Action is not HelpWithExamples)
        {
            throw new UsageException(DescribeError(parsed, words));
        }

        where ??= new InvocationConfiguration();
        where.EnableDefaultExceptionHandler = false;
        where.ProcessTerminationTimeout = null; // signals are the session's business
        return parsed.Invoke(where);
    }

    private static string DescribeError(ParseResult parsed, IReadOnlyList<string> words)
    {
        Command command = parsed.CommandResult.Command;
        if (command is RootCommand)
        {
            string problem = words.Count == 0 ? "no command given" : $"'{words[0]}' is not a command";
            return $"{problem}; allowed: {string.Join(", ", Names)} (see hv --help)";
        }

        string message = HostErrors.OneLine(parsed.Errors[0].Message).TrimEnd('.');
        return $"{message}; allowed: see hv {PathOf(command)} --help";
    }

    private static string PathOf(Command command)
    {
        string path = command.Name;
        foreach (Symbol parent in command.Parents)
        {
            if (parent is Command and not RootCommand)
            {
                path = $"{parent.Name} {path}";
            }
        }

        return path;
    }
}
