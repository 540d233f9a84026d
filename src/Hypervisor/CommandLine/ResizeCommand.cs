using System.CommandLine;
using System.Linq;
using System.Threading;
using Hypervisor.Control;

namespace Hypervisor.CommandLine;

/// <summary>`hv resize`: another size for a disk.</summary>
internal static class ResizeCommand
{
    private const long SizeUnitBytes = 1L << 20; // a number without suffix, as in QEMU's monitor
    private const int LookMillis = 50;
    private const int PatienceMillis = 10_000; // a resize is a call or two to the host, and an epoch

    private static readonly Argument<string> s_disk = new("DISK")
    {
        Description = "Id of the disk, as hv status has it.",
    };

    private static readonly Argument<string> s_size = new("SIZE") { Description = "Its new size: 20G, 20480M." };

    private static readonly Option<bool> s_shrink = OptionShapes.Switch(
        "--shrink", "It may become smaller: what is behind its new end is lost.");

    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var command = new HelpfulCommand(
            "resize",
            ControlCommands.DescriptionOf(ControlCommands.Resize)
            + " Returns when the disk has it; of a protected guest, when the standby has it too.",
            "hv resize disk0 20G --control guest.sock")
        {
            s_disk,
            s_size,
            s_shrink,
        };
        WatchOptions.AddGuestTo(command);
        command.SetAction(words => Resize(
            WatchOptions.ReadGuest(words),
            words.GetValue(s_disk)!,
            SizeText.Parse("SIZE", words.GetValue(s_size)!, SizeUnitBytes),
            words.GetValue(s_shrink)));
        return command;
    }

    private static int Resize(string path, string disk, long bytes, bool shrinks)
    {
        using var client = new ControlClient(path);
        _ = client.Ask(new ControlRequest(ControlCommands.Resize) { Disk = disk, Bytes = bytes, Shrinks = shrinks });
        using var never = new ManualResetEventSlim(false);
        GuestStatus status = client.AskStatus();
        ulong? epoch = null; // in which it had that size at the latest
        for (int millis = 0; millis < PatienceMillis; millis += LookMillis)
        {
            if (status.Disks.Any(known => known.Id == disk && known.LengthBytes == bytes))
            {
                epoch ??= status.OpenEpoch;
                if (status.Role == GuestRole.Alone || status.State is "alone" or "waiting"
                    || status.ReleasedEpoch >= epoch)
                {
                    return ExitCode.Success;
                }
            }

            _ = never.Wait(LookMillis);
            status = client.AskStatus();
        }

        throw new FailureException(epoch is null
            ? $"resize: disk '{disk}' has not got {bytes} bytes after {PatienceMillis / 1000} s: its image could not, "
                + "see the messages of the guest's hv"
            : $"resize: disk '{disk}' has {bytes} bytes here, but the standby has not confirmed it after "
                + $"{PatienceMillis / 1000} s; the guest is {StatusTable.State(status)}: see hv events");
    }
}
