using System;
using System.Collections.Generic;
using System.CommandLine;
using System.CommandLine.Parsing;
using System.Linq;
using Hypervisor.Machine;
using Hypervisor.Sessions;

namespace Hypervisor.CommandLine;

/// <summary>`hv boot-test`: headless, for CI.</summary>
internal static class BootTestCommand
{
    private static readonly TimeSpan s_timeoutDefault = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_timeoutMax = TimeSpan.FromHours(24);

    private static readonly Option<string[]> s_expect = OptionShapes.Many(
        "--expect", "TEXT", "Wait until the guest prints TEXT, after what the previous --expect matched.");

    private static readonly Option<string[]> s_send = OptionShapes.Many(
        "--send", "TEXT", @"Type TEXT and Enter; \n \r \t \e \\ \xHH as in printf, \c at the end leaves Enter out.");

    private static readonly Option<string> s_timeout = OptionShapes.One(
        "--timeout", "TIME", "For the whole script [default: 60s].");

    private static readonly Option<string> s_junit = OptionShapes.One(
        "--junit", "FILE", "Write the result as JUnit XML.");

    private static readonly Option<string> s_log = OptionShapes.One(
        "--serial-log", "FILE", "Write everything that the guest prints on COM1 to FILE.");

    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var command = new HelpfulCommand(
            "boot-test",
            "Boots a guest and holds its console against a script of --expect and --send, in the order given. "
            + "Exit code 0 only when all of it was met.",
            "hv boot-test --kernel vmlinuz --initrd initrd.img --append console=ttyS0 --expect '~ #' --send 'uname -r' "
            + "--expect 6.1 --timeout 90s --junit boot.xml --serial-log boot.log")
        {
            s_expect,
            s_send,
            s_timeout,
            s_junit,
            s_log,
        };
        MachineOptions.AddTo(command);
        command.SetAction(words =>
        {
            BootTestConfig test = ReadTest(words);
            return BootTest.Run(ReadMachine(words), test);
        });
        return command;
    }

    /// <summary>The script that the words describe.</summary>
    /// <exception cref="UsageException">No expect, an empty text, a wrong duration.</exception>
    public static BootTestConfig ReadTest(ParseResult words)
    {
        List<BootStep> steps = [];
        Option? pending = null; // values follow their option, and only the order of the words has both kinds in order
        foreach (Token token in words.Tokens)
        {
            if (token.Type == TokenType.Option)
            {
                pending = token.Value == s_expect.Name ? s_expect : token.Value == s_send.Name ? s_send : null;
            }
            else if (token.Type == TokenType.Argument && pending is not null)
            {
                bool isExpect = pending == s_expect;
                steps.Add(new BootStep(isExpect, isExpect ? CheckExpect(token.Value) : SendText.Parse(token.Value)));
                pending = null;
            }
        }

        return steps.Exists(step => step.IsExpect)
            ? new BootTestConfig(steps, ReadTimeout(words.GetValue(s_timeout)), words.GetValue(s_junit))
            : throw new UsageException(
                "--expect: missing, so nothing would be tested; allowed: --expect TEXT, repeated");
    }

    private static MachineConfig ReadMachine(ParseResult words)
    {
        MachineConfig machine = Bootable.Check(MachineOptions.Read(words, TimeProvider.System));
        SerialConfig log = words.GetValue(s_log) is { Length: > 0 } path
            ? new SerialConfig(SerialKind.File, path)
            : new SerialConfig(SerialKind.Null);
        return machine.Serials[0].Kind == SerialKind.Stdio
            ? machine with { Serials = [log, .. machine.Serials.Skip(1)] }
            : throw new UsageException("--serial: COM1 belongs to the script; allowed: --serial-log FILE");
    }

    private static string CheckExpect(string text)
        => text.Length > 0 ? text : throw new UsageException("--expect: empty, so it says nothing; allowed: some text");

    private static TimeSpan ReadTimeout(string? text) => text is null
        ? s_timeoutDefault
        : DurationText.Parse("--timeout", text, TimeSpan.FromMilliseconds(1), s_timeoutMax);
}
