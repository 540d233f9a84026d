using System;

namespace Hypervisor.Control;

/// <summary>What can be asked over a control socket; the same words as the commands of `hv`.</summary>
internal static class ControlCommands
{
    /// <summary>Asks for the guest's status.</summary>
    public const string Status = "status";

    /// <summary>Asks for the guest's events.</summary>
    public const string Events = "events";

    /// <summary>Asks for the end of the guest.</summary>
    public const string Stop = "stop";

    /// <summary>Asks a standby to take over.</summary>
    public const string TakeOver = "takeover";

    /// <summary>Asks a primary to compare everything with its standby.</summary>
    public const string Scrub = "scrub";

    /// <summary>Asks a standby for a drill.</summary>
    public const string Drill = "drill";

    /// <summary>Asks a guest to give memory back, or to take it.</summary>
    public const string Balloon = "balloon";

    /// <summary>Asks for another size of a disk.</summary>
    public const string Resize = "resize";

    /// <summary>Asks for this list.</summary>
    public const string Commands = "commands";

    /// <summary>Every command, with one line for people.</summary>
    public static (string Name, string Description)[] All { get; } =
    [
        (Status, "Shows where a guest stands: state, epochs, pauses, lag, disks, taints."),
        (Events, "Shows what happened to a guest, and with --follow what happens."),
        (Stop, "Ends a guest in order: its last epoch is committed, its standby told, its disks are flushed."),
        (TakeOver, "Moves a guest to its standby now: asked of either half. The witness has the last word."),
        (Scrub, "Compares all RAM and all disks of a protected guest with its standby's, while the guest runs."),
        (Drill, "Runs a copy of a guest from its standby's last epoch and throws it away; protection goes on."),
        (Balloon, "Lets a guest keep so much of its memory, and gives the rest back to the host."),
        (Resize, "Gives a disk another size while the guest runs, on both halves of a pair."),
        (Commands, "Lists what can be asked."),
    ];

    /// <summary>One line for people.</summary>
    public static string DescriptionOf(string name)
        => Array.Find(All, command => command.Name == name).Description;

    /// <summary>Names of all commands, for messages.</summary>
    public static string Names { get; } = string.Join(", ", Array.ConvertAll(All, command => command.Name));
}
