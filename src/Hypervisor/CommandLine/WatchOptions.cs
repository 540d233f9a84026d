using System.CommandLine;
using Hypervisor.Control;
using Hypervisor.Machine;

namespace Hypervisor.CommandLine;

/// <summary>`--control` and `--metrics`: how a guest can be seen from outside; and `--control` of who looks.</summary>
internal static class WatchOptions
{
    private static readonly Option<string> s_control = OptionShapes.One(
        "--control",
        "PATH",
        "Answer at this socket, to this user alone: for hv status, events, top, stop, takeover, scrub and the like.");

    private static readonly Option<string> s_metrics = OptionShapes.One(
        "--metrics",
        "HOST:PORT",
        "Serve Prometheus metrics at http://HOST:PORT/metrics; port 0 lets the host choose. Read-only, but for whoever "
        + "can connect: 127.0.0.1 keeps it on this host.");

    private static readonly Option<string> s_guest = OptionShapes.One(
        "--control", "PATH", "The socket that the guest was started with.");

    /// <summary>Adds the options to a command that runs a guest.</summary>
    public static void AddTo(Command command)
    {
        command.Add(s_control);
        command.Add(s_metrics);
    }

    /// <summary>Adds the option to a command that looks at a guest.</summary>
    public static void AddGuestTo(Command command) => command.Add(s_guest);

    /// <summary>The guest to look at.</summary>
    /// <exception cref="UsageException">It is not said, or cannot be.</exception>
    public static string ReadGuest(ParseResult words) => ControlSocket.CheckPath(words.GetValue(s_guest)
        ?? throw new UsageException("--control: missing; allowed: PATH, as the guest was started with"));

    /// <summary>Checks the words and listens.</summary>
    /// <param name="words">The command line.</param>
    /// <param name="machine">The machine.</param>
    /// <param name="role">What this process is about to be.</param>
    /// <param name="events">Where the guest's events come from.</param>
    /// <exception cref="UsageException">The words are wrong.</exception>
    /// <exception cref="FailureException">A socket cannot be had.</exception>
    public static GuestWatch Open(ParseResult words, MachineConfig machine, GuestRole role, EventFeed events)
    {
        string? path = words.GetValue(s_control) is { } control ? ControlSocket.CheckPath(control) : null;
        Endpoint? metrics = words.GetValue(s_metrics) is { } address
            ? Endpoint.Parse(s_metrics.Name, address, portMin: 0)
            : null;
        var watch = new GuestWatch(machine.Name, role, events, path, metrics);
        if (metrics is { Port: 0 } chosen)
        {
            System.Console.Error.WriteLine($"hv: metrics at http://{chosen with { Port = watch.MetricsPort }}/metrics");
        }

        return watch;
    }
}
