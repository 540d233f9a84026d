using System;
using System.CommandLine;
using System.IO;
using Hypervisor.Machine;
using Hypervisor.Machine.Boot;
using Hypervisor.Sessions;

namespace Hypervisor.CommandLine;

/// <summary>`hv linux`: Debian's kernel on a virtio-blk ext4 disk, serial console in the terminal.</summary>
internal static class LinuxCommand
{
    private const string DefaultFolder = ".cache/linux";
    private static readonly string[] s_files = ["vmlinuz", "initrd.gz", "disk.img"];

    private static readonly Option<string> s_folder = OptionShapes.One(
        "--files",
        "FOLDER",
        $"Where vmlinuz, initrd.gz and disk.img are; ./run.sh makes them [default: {DefaultFolder}].");

    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var command = new HelpfulCommand(
            "linux",
            "Boots Debian's kernel to a shell on the serial console; leave with Ctrl-A x.",
            "./run.sh linux",
            "hv linux --memory 1G --snapshot")
        {
            s_folder,
        };
        MachineOptions.AddTo(command);
        command.SetAction(words => Session.Run(Read(words)));
        return command;
    }

    /// <summary>The machine that the words describe, with what the Linux guest needs filled in.</summary>
    /// <exception cref="FailureException">The guest's files are not there.</exception>
    public static MachineConfig Read(ParseResult words)
    {
        MachineConfig machine = MachineOptions.Read(words, TimeProvider.System);
        if (machine.Kernel is not null)
        {
            throw new UsageException("--kernel: `hv linux` brings its own; allowed: hv run --kernel PATH");
        }

        string folder = words.GetValue(s_folder) ?? DefaultFolder;
        foreach (string file in s_files)
        {
            if (!File.Exists(Path.Combine(folder, file)))
            {
                throw new FailureException($"linux: {Path.Combine(folder, file)} is missing; ./run.sh linux makes it");
            }
        }

        string kernel = Path.Combine(folder, s_files[0]), initrd = Path.Combine(folder, s_files[1]);
        return machine with
        {
            Kernel = BootFile.Open("kernel", kernel),
            Initrd = BootFile.Open("initrd", initrd),
            // The kernel's check of the PIT counts ticks over 40 ms, and ticks that a stalled host missed are lost.
            CommandLine = machine.CommandLine.Length > 0 ? machine.CommandLine : "console=ttyS0",
            Drives = machine.Drives.Count > 0
                ? machine.Drives
                : DriveText.ParseAll("--drive", [$"file={PropertyList.Quote(Path.Combine(folder, s_files[2]))}"]),
        };
    }
}
