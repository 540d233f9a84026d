using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Backends.Console;
using Hypervisor.Backends.Network;
using Hypervisor.CommandLine;
using Hypervisor.Core.Time;
using Hypervisor.Machine;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Sessions;

/// <summary>A machine whose disk writes can be tagged and whose output can be held: either half of a pair.</summary>
internal sealed class ProtectableGuest : IDisposable
{
    private const int HeldOutputBytesMax = 4 << 20;

    private readonly TaskCompletionSource<GuestEnd> _end = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly MachineConfig _config;
    private Action _onOutboxOverflow = static () => { };

    /// <summary>Opens everything and starts the machine's threads; the guest stands still.</summary>
    /// <param name="config">The machine.</param>
    /// <param name="folder">Where this half keeps what it knows about its disks.</param>
    /// <param name="isBooted">Whether to load kernel or firmware; else it waits for a primary's state.</param>
    /// <exception cref="FailureException">Something is missing or in use.</exception>
    public ProtectableGuest(MachineConfig config, string folder, bool isBooted)
    {
        _config = config;
        Drives = MachineParts.OpenDrives(config, isFollower: !isBooted);
        Intents = [.. Drives.Select((drive, i) => new WriteIntentLog(
            Path.Combine(folder, $"intent.{i}"), drive.LengthBytes))];
        Disks = [.. Drives.Select((drive, i) => new EpochTagFilter(drive, i, Intents[i].Changes))];
        IBlockDevice[] logged =
        [
            .. Disks.Select((disk, i) => Drives[i] is SharedDisk ? (IBlockDevice)disk
                : new WriteIntentFilter(disk, Intents[i])),
        ];
        Consoles = SerialStreams.Open(config.Serials, OnEscape);
        Outboxes = [.. Consoles.Select(stream => new OutboxStream(
            stream, HeldOutputBytesMax, () => Volatile.Read(ref _onOutboxOverflow)()))];
        Networks = MachineParts.OpenNetworks(config, startsNow: isBooted);
        Machine = new Machine.Machine(
            config, logged, Outboxes, Networks, Clock, end => _end.TrySetResult(MachineParts.Describe(end)));
        if (isBooted)
        {
            MachineParts.Boot(Machine, config);
        }

        Machine.Start();
    }

    /// <summary>What both halves must agree on.</summary>
    public MachineIdentity Identity => PairIdentity.Of(_config, Machine, Disks);

    /// <summary>Gives a disk another size, from soon on.</summary>
    /// <returns>Null when it was asked; else why it cannot be, and what is allowed.</returns>
    public string? Resize(string disk, long bytes, bool shrinks)
        => MachineParts.Resize(Machine, _config, Disks, (disk, bytes, shrinks));

    /// <summary>The host's time, for all who are about this guest.</summary>
    public HostClock Clock { get; } = new();

    /// <summary>The images.</summary>
    public List<IBlockDevice> Drives { get; }

    /// <summary>What may be different on them from what a standby has.</summary>
    public WriteIntentLog[] Intents { get; }

    /// <summary>Where what the guest changes gets its epoch; above it is what logs the intent.</summary>
    public EpochTagFilter[] Disks { get; }

    /// <summary>The consoles' ways out.</summary>
    public List<IByteStream> Consoles { get; }

    /// <summary>The consoles as the guest sees them.</summary>
    public OutboxStream[] Outboxes { get; }

    /// <summary>What the NICs are plugged into.</summary>
    public List<NetworkPort> Networks { get; }

    /// <summary>The machine.</summary>
    public Machine.Machine Machine { get; }

    /// <summary>Completes when the guest ends, or somebody wants it to.</summary>
    public Task<GuestEnd> End => _end.Task;

    /// <summary>Ends it, for this reason.</summary>
    public void RequestEnd(string reason) => _end.TrySetResult(new GuestEnd(reason, ExitCode.Success));

    /// <summary>Who hears of an overflow from here on.</summary>
    public void SetOverflow(Action onOutboxOverflow) => Volatile.Write(ref _onOutboxOverflow, onOutboxOverflow);

    /// <summary>The images that the other half reaches, too.</summary>
    public IReadOnlyList<SharedDisk> SharedDisks => [.. Drives.OfType<SharedDisk>()];

    /// <inheritdoc/>
    public void Dispose()
    {
        SharedDisks.ToList().ForEach(disk => disk.End()); // what was not released is not waited for
        MachineParts.Flush(Drives);
        Machine.Dispose();
        foreach (WriteIntentLog log in Intents)
        {
            log.Dispose();
        }
    }

    private void OnEscape(EscapeCommand command)
    {
        if (command == EscapeCommand.Quit)
        {
            RequestEnd("Ctrl-A x");
        }
    }
}
