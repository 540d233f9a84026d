using System;
using System.Collections.Generic;
using System.Linq;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Images;
using Hypervisor.Backends.Network;
using Hypervisor.CommandLine;
using Hypervisor.Core.Host;
using Hypervisor.Core.Memory;
using Hypervisor.Devices.Virtio;
using Hypervisor.Machine;
using Hypervisor.Machine.Boot;

namespace Hypervisor.Sessions;

/// <summary>What every session does to bring a machine about: opens its disks, boots it, names its end.</summary>
internal static class MachineParts
{
    /// <summary>Opens all drives, or none.</summary>
    /// <param name="config">The machine.</param>
    /// <param name="isFollower">Whether shared images are left to the other half for now.</param>
    /// <exception cref="FailureException">An image is missing, locked or no disk.</exception>
    public static List<IBlockDevice> OpenDrives(MachineConfig config, bool isFollower = false)
    {
        List<IBlockDevice> drives = [];
        try
        {
            foreach (DriveOptions drive in config.Drives)
            {
                drives.Add(BlockChain.Open(drive, line => Console.Error.WriteLine($"hv: {line}"), isFollower));
            }
        }
        catch (BlockImageException error)
        {
            drives.ForEach(drive => drive.Dispose());
            throw new FailureException($"--drive: {error.Message}");
        }

        return drives;
    }

    /// <summary>Opens what the NICs are plugged into, all or nothing.</summary>
    /// <param name="config">The machine.</param>
    /// <param name="startsNow">Whether the guest starts here, now; a standby's may never.</param>
    /// <exception cref="FailureException">One of them cannot be had.</exception>
    public static List<NetworkPort> OpenNetworks(MachineConfig config, bool startsNow)
    {
        List<NetworkPort> ports = [];
        try
        {
            foreach (NetworkOptions network in config.Networks)
            {
                INetworkBackend backend = network.Open(
                    startsNow, line => Console.Error.WriteLine($"hv: --net: {line}"));
                ports.Add(new NetworkPort($"{config.Name} {network.Mac}", backend));
            }
        }
        catch (HostException error)
        {
            ports.ForEach(port => port.Dispose());
            throw new FailureException($"--net: {error.Message}");
        }

        return ports;
    }

    /// <summary>Puts kernel or firmware into RAM.</summary>
    /// <exception cref="FailureException">It cannot be started.</exception>
    public static void Boot(Machine.Machine machine, MachineConfig config)
    {
        if (config.Firmware is not null)
        {
            throw new FailureException(
                $"--firmware {config.Firmware.Name}: other firmware cannot run yet; allowed: the built-in one");
        }

        try
        {
            machine.Boot(new BootRequest
            {
                Kernel = config.Kernel,
                Initrd = config.Initrd,
                CommandLine = config.CommandLine,
                CpuCount = config.CpuCount,
            });
        }
        catch (BootException error)
        {
            throw new FailureException(error.Message);
        }
    }

    /// <summary>Where the balloon stands; asks the guest for what the next look will show. Any thread.</summary>
    public static BalloonStatus? Balloon(Machine.Machine machine)
    {
        machine.Balloon?.RefreshStatistics();
        return machine.Balloon?.Status;
    }

    /// <summary>Asks the guest to live with so many bytes of its memory. Any thread.</summary>
    /// <returns>Null when it was asked; else why it cannot be, and what is allowed.</returns>
    public static string? SetMemory(Machine.Machine machine, long bytes)
    {
        if (machine.Balloon is not { } balloon)
        {
            return "balloon: this guest has none; allowed: one that was started with --balloon";
        }

        long largest = machine.Ram.LengthBytes;
        if (bytes < MachineConfig.MemoryBytesMin || bytes > largest || bytes % PageKernels.PageBytes != 0)
        {
            return $"balloon: a guest cannot keep {bytes} bytes; allowed: whole pages of {PageKernels.PageBytes} "
                + $"from {MachineConfig.MemoryBytesMin} to {largest}";
        }

        balloon.SetTarget(largest - bytes);
        return null;
    }

    /// <summary>Gives a disk of the guest another size, from soon on. Any thread.</summary>
    /// <param name="machine">Whose disk.</param>
    /// <param name="config">As it was started.</param>
    /// <param name="drives">Its disks.</param>
    /// <param name="wish">Id of the disk, its size, and whether it may become smaller.</param>
    /// <returns>Null when it was asked; else why it cannot be, and what is allowed.</returns>
    public static string? Resize(
        Machine.Machine machine,
        MachineConfig config,
        IReadOnlyList<IBlockDevice> drives,
        in (string Disk, long Bytes, bool Shrinks) wish)
    {
        string id = wish.Disk;
        int index = config.Drives.ToList().FindIndex(drive => drive.Id == id);
        if (index < 0)
        {
            string known = string.Join(", ", config.Drives.Select(drive => drive.Id));
            return $"resize: disk '{id}' is not known; allowed: {known}";
        }

        long now = drives[index].LengthBytes;
        string? error = !drives[index].CanResize
            ? "cannot be resized; allowed: a regular file that is written to, without --snapshot"
            : wish.Bytes <= 0 || wish.Bytes % RawImage.SectorBytes != 0
            ? $"cannot have {wish.Bytes} bytes; allowed: a multiple of {RawImage.SectorBytes} above 0"
            : wish.Bytes < now && !wish.Shrinks
            ? $"has {now} bytes, and what is behind {wish.Bytes} would be lost; allowed: more, or --shrink" : null;
        if (error is not null)
        {
            return $"resize: disk '{id}' {error}";
        }

        machine.Disks[index].Resize(wish.Bytes);
        return null;
    }

    /// <summary>A machine's end in a session's words.</summary>
    public static GuestEnd Describe(MachineEnd end) => end.Kind switch
    {
        MachineEndKind.PowerOff => new GuestEnd("the guest powered off", ExitCode.Success),
        MachineEndKind.Reset => new GuestEnd("the guest reset itself", ExitCode.Success),
        MachineEndKind.DebugExit => new GuestEnd(
            $"the guest ended with debug-exit code {end.DebugExitCode}", end.DebugExitCode),
    };

    /// <summary>Makes everything written durable, at the end of a session.</summary>
    public static void Flush(IEnumerable<IBlockDevice> drives)
    {
        foreach (IBlockDevice drive in drives.Where(drive => !drive.IsReadOnly))
        {
            using var blocking = new BlockingBlockDevice(drive);
            _ = blocking.Flush(); // a failure was reported when it happened
        }
    }
}
