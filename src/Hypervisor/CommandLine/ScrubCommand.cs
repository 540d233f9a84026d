using System.CommandLine;
using System.Threading;
using Hypervisor.Control;
using Hypervisor.Replication.Epochs;

namespace Hypervisor.CommandLine;

/// <summary>`hv scrub`: compares everything that a protected guest has with what its standby has.</summary>
internal static class ScrubCommand
{
    private const int LookMillis = 200;

    private static readonly Option<string> s_rate = OptionShapes.One(
        "--rate",
        "SIZE",
        $"Bytes a second that are read on each side, {SizeText.Write(ControlRequest.RateMin)} and more "
        + $"[default: {SizeText.Write(ControlRequest.UsualRate)}].");

    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var command = new HelpfulCommand(
            "scrub",
            ControlCommands.DescriptionOf(ControlCommands.Scrub)
            + " Returns when all of it was compared. A difference ends protection, and says where it is. What the "
            + "guest discarded and has not written since is not compared.",
            "hv scrub --control guest.sock --rate 32M")
        {
            s_rate,
        };
        WatchOptions.AddGuestTo(command);
        command.SetAction(words => Scrub(WatchOptions.ReadGuest(words), ReadRate(words)));
        return command;
    }

    private static long ReadRate(ParseResult words)
    {
        string? text = words.GetValue(s_rate);
        long rate = text is null ? ControlRequest.UsualRate : SizeText.Parse(s_rate.Name, text);
        return rate >= ControlRequest.RateMin ? rate : throw new UsageException(
            $"{s_rate.Name}: '{text}' is too little; allowed: {SizeText.Write(ControlRequest.RateMin)} and more");
    }

    private static int Scrub(string path, long bytesPerSecond)
    {
        using var client = new ControlClient(path);
        GuestStatus before = client.AskStatus();
        _ = client.Ask(new ControlRequest(ControlCommands.Scrub) { BytesPerSecond = bytesPerSecond });
        using var never = new ManualResetEventSlim(false);
        GuestStatus status = client.AskStatus();
        while (status.State == before.State
            && (status.Scrub.Number == before.Scrub.Number || status.Scrub.State == ScrubState.Running))
        {
            _ = never.Wait(LookMillis);
            status = client.AskStatus();
        }

        string result = $"scrub: {StatusTable.Scrub(status.Scrub)}";
        if (status.Scrub.State != ScrubState.Same || status.Scrub.Number == before.Scrub.Number)
        {
            throw new FailureException(result);
        }

        System.Console.Out.WriteLine(result);
        return ExitCode.Success;
    }
}
