using System;
using System.Collections.Generic;
using System.Linq;
using Hypervisor.Backends;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Backends.Console;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Link;

namespace Hypervisor.Replication.Session;

/// <summary>What a primary's session needs from the program.</summary>
public sealed record PrimarySetup
{
    /// <summary>The machine, paused: the session starts it.</summary>
    public required IProtectedMachine Machine { get; init; }

    /// <summary>A tag filter on top of each disk, in the machine's order.</summary>
    public required IReadOnlyList<EpochTagFilter> Disks { get; init; }

    /// <summary>The disks' write-intent logs, in their order; none: what a process changed is lost with it.</summary>
    public IReadOnlyList<WriteIntentLog> Intents { get; init; } = [];

    /// <summary>Every way out for console bytes, in order.</summary>
    public required IReadOnlyList<OutboxStream> Outboxes { get; init; }

    /// <summary>
    /// Every way out for frames. They are held like console bytes, but not sent to the standby: a takeover may lose
    /// some (rule 5).
    /// </summary>
    public IReadOnlyList<IEpochOutbox> FrameOutboxes { get; init; } = [];

    /// <summary>
    /// The disks that both halves reach, below their tag filters. They are ways out, too (rule 4): the standby keeps
    /// what was written until it is durable there.
    /// </summary>
    public IReadOnlyList<SharedDisk> SharedDisks { get; init; } = [];

    /// <summary>All ways out, in the order in which they are held and let out.</summary>
    internal IEnumerable<IEpochOutbox> AllOutboxes => [.. Outboxes, .. FrameOutboxes, .. SharedDisks];

    /// <summary>Whether both halves reach the same image of a disk.</summary>
    internal bool IsShared(int disk) => Options.Machine.Disks[disk].IsShared;

    /// <summary>The disks of which the standby has a copy of its own.</summary>
    internal List<EpochTagFilter> OwnDisks => [.. Disks.Where(disk => !IsShared(disk.Disk))];

    /// <summary>
    /// After the first cut of a life: makes durable what passed to the shared disks before it. False: it cannot be.
    /// </summary>
    internal bool TryFlushShared() => SharedDisks.All(static disk => disk.FlushPassed() == BlockStatus.Ok);

    /// <summary>Name or address of the standby.</summary>
    public required string StandbyHost { get; init; }

    /// <summary>Its port.</summary>
    public required int StandbyPort { get; init; }

    /// <summary>How the halves make sure of each other; the same on both.</summary>
    public required LinkSecurity Security { get; init; }

    /// <summary>The pair's witness.</summary>
    public required Witness Witness { get; init; }

    /// <summary>Settings of the protocol.</summary>
    public required PrimaryOptions Options { get; init; }

    /// <summary>Host time.</summary>
    public required IHostClock Clock { get; init; }

    /// <summary>Who is told what happens.</summary>
    public required ISessionEvents Events { get; init; }

    /// <summary>Gives a fresh random number, not 0, for each life of the pair.</summary>
    public required Func<ulong> NextIncarnation { get; init; }

    /// <summary>Time between two attempts to reach the standby.</summary>
    public int ReconnectMillis { get; init; } = 500;
}
