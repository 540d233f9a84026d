using System;
using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Network;
using Hypervisor.Machine;
using Hypervisor.Sessions;

namespace Hypervisor.CommandLine;

/// <summary>`hv pair`: both halves on this host.</summary>
internal static class PairCommand
{
    private const long ScratchDiskBytes = 16 << 20;
    private const int ScratchDiskCount = 2; // one commit covers all disks: a drill with one would not show it
    private const string GuestWords = "pace=1000 end=off"; // at most a thousand steps a second, and for ever

    private static readonly TimeSpan s_killMax = TimeSpan.FromHours(24);
    private static readonly TimeSpan s_stopDefault = TimeSpan.FromSeconds(3);

    private static readonly Option<string> s_kill = OptionShapes.One(
        "--kill-primary-after", "TIME", "SIGKILL to the primary, this long after protection began.");

    private static readonly Option<string> s_stop = OptionShapes.One(
        "--stop-after-takeover", "TIME", "End the guest this long after the standby carried it on "
        + "[default: never; 3s for the embedded guest].");

    private static readonly Option<string[]> s_standbyDrive = OptionShapes.Many(
        "--standby-drive", "file=PATH,…", "The standby's disk for each --drive, in the same order "
        + "[default: the same with .standby behind the file's name, made when missing].");

    private static readonly Option<string[]> s_standbyNet = OptionShapes.Many(
        "--standby-net", "KIND,…", "What the standby plugs each --net into, in the same order [default: the same; a "
        + "TAP interface has one owner, so on one host it needs another].");

    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var command = new HelpfulCommand(
            "pair",
            "Runs a primary and a standby on this host; without a guest, the embedded one on disks of its own.",
            "hv pair --kill-primary-after 5s",
            "hv pair --kernel vmlinuz --initrd initrd.img --append console=ttyS0 --drive file=disk.img --epoch 25ms")
        {
            s_kill,
            s_stop,
            s_standbyDrive,
            s_standbyNet,
        };
        MachineOptions.AddTo(command);
        ProtectionOptions.AddTo(command);
        command.SetAction(words => PairSession.Run(Read(words)));
        return command;
    }

    /// <summary>
    /// The pair that the words describe. Makes the standby's disks, and for the embedded guest all of them.
    /// </summary>
    /// <exception cref="UsageException">The words are wrong.</exception>
    public static PairConfig Read(ParseResult words)
    {
        MachineConfig machine = MachineOptions.Read(words, TimeProvider.System);
        if (machine.Serials.Any(serial => serial.Kind != SerialKind.Stdio) || machine.Serials.Count != 1)
        {
            throw new UsageException("--serial: the pair joins COM1 of both halves; allowed: stdio");
        }

        TimeSpan? kill = ReadTime(words, s_kill), stop = ReadTime(words, s_stop);
        bool isScratch = machine.Kernel is null && machine.Firmware is null && machine.Drives.Count == 0;
        string folder = Directory.CreateTempSubdirectory("hv-pair-").FullName;
        machine = isScratch ? WithEmbeddedGuest(machine, folder) : Bootable.Check(machine);
        ProtectionConfig protection = ProtectionOptions.Read(words, Path.Combine(folder, "witness"));
        return new PairConfig(Protectable.Check(machine), protection)
        {
            StandbyDrives = [.. ReadStandbyDrives(words, machine)],
            StandbyNetworks = ReadStandbyNetworks(words, machine),
            KillPrimaryAfter = kill,
            StopAfterTakeover = stop ?? (isScratch ? s_stopDefault : null),
            HasSteps = machine.Kernel?.Name == EmbeddedGuests.Counting,
            ScratchFolder = folder,
        };
    }

    private static MachineConfig WithEmbeddedGuest(MachineConfig machine, string folder)
    {
        DriveOptions[] drives = [.. Enumerable.Range(0, ScratchDiskCount).Select(
            i => new DriveOptions(Path.Combine(folder, $"disk{i}")) { Id = $"disk{i}" })];
        foreach (DriveOptions drive in drives)
        {
            BlockFormat.Named(drive.Format).Create(drive.File, ScratchDiskBytes);
        }

        return machine with
        {
            Name = "counting",
            Kernel = EmbeddedGuests.Open(EmbeddedGuests.Counting),
            CommandLine = machine.CommandLine.Length > 0 ? machine.CommandLine : GuestWords,
            Drives = drives,
        };
    }

    private static DriveOptions[] ReadStandbyDrives(ParseResult words, MachineConfig machine)
    {
        DriveOptions[] given = [.. DriveText.ParseAll(s_standbyDrive.Name, words.GetValue(s_standbyDrive) ?? [])];
        if (given.Length > 0)
        {
            return given.Length == machine.Drives.Count ? given : throw new UsageException(
                $"{s_standbyDrive.Name}: {given.Length} for {machine.Drives.Count} drives; "
                + "allowed: one for each --drive");
        }

        DriveOptions[] drives = [.. machine.Drives.Select(
            drive => drive.IsShared ? drive : drive with { File = drive.File + ".standby" })];
        foreach ((DriveOptions source, DriveOptions copy) in machine.Drives.Zip(drives))
        {
            if (!File.Exists(copy.File))
            {
                BlockFormat.Named(copy.Format).Create(
                    copy.File, ImageInfo.Read(source.File, source.Format).LengthBytes);
            }
        }

        return drives;
    }

    // The NICs are the guest's, and so their addresses and sizes: only what they are plugged into is another.
    private static List<NetworkOptions> ReadStandbyNetworks(ParseResult words, MachineConfig machine)
    {
        string[]? texts = words.GetValue(s_standbyNet);
        List<NetworkOptions> given = NetText.ParseAll(s_standbyNet.Name, texts ?? [], machine.Uuid);
        return texts is not { Length: > 0 } ? [.. machine.Networks]
            : given.Count == machine.Networks.Count
                ? [.. given.Zip(machine.Networks, (there, here) => there with
                {
                    Mac = here.Mac,
                    MtuBytes = here.MtuBytes,
                })]
                : throw new UsageException($"{s_standbyNet.Name}: {given.Count} for {machine.Networks.Count} NICs; "
                    + "allowed: one for each --net");
    }

    private static TimeSpan? ReadTime(ParseResult words, Option<string> option)
        => words.GetValue(option) is { } text
            ? DurationText.Parse(option.Name, text, TimeSpan.Zero, s_killMax)
            : null;
}
