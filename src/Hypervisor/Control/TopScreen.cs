using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Hypervisor.CommandLine;
using Hypervisor.Sessions;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Hypervisor.Control;

/// <summary>The live view on the terminal, redrawn once a second until `q`, Ctrl-C or the guest's end.</summary>
internal static class TopScreen
{
    private const int RedrawMillis = 1000;
    private const int KeyMillis = 50;

    /// <summary>Shows it.</summary>
    /// <returns>The exit code.</returns>
    /// <exception cref="FailureException">Nobody answers, or there is no terminal.</exception>
    public static int Run(string path)
    {
        using var client = new ControlClient(path);
        if (Console.IsOutputRedirected || Console.IsInputRedirected)
        {
            throw new FailureException("top: no terminal on standard input and output; allowed: one, or hv status");
        }

        using var isLeaving = new ManualResetEventSlim(false);
        using var signals = new EndSignals(_ => isLeaving.Set());
        var model = new TopModel();
        AnsiConsole.Live(Draw(model.Show(client.AskStatus()))).Start(view =>
        {
            while (!IsTimeToLeave(isLeaving))
            {
                view.UpdateTarget(Draw(model.Show(client.AskStatus())));
                view.Refresh();
            }
        });
        return ExitCode.Success;
    }

    private static bool IsTimeToLeave(ManualResetEventSlim isLeaving)
    {
        for (int millis = 0; millis < RedrawMillis; millis += KeyMillis)
        {
            if (isLeaving.Wait(KeyMillis) || (Console.KeyAvailable && Console.ReadKey(intercept: true).KeyChar == 'q'))
            {
                return true;
            }
        }

        return false;
    }

    private static Rows Draw(IReadOnlyList<TopRow> rows) => new(rows.Select(Draw));

    private static IRenderable Draw(TopRow row) => new Text(
        row.Text.Length > 0 ? row.Text : " ",
        row.Tone switch
        {
            TopTone.Plain => Style.Plain,
            TopTone.Good => new Style(Color.Green),
            TopTone.Bad => new Style(Color.Yellow),
            TopTone.Heading => new Style(decoration: Decoration.Bold),
        })
    {
        Overflow = Overflow.Ellipsis,
    };
}
