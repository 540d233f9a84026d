using System;
using System.Collections.Generic;
using System.Net;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Backends.Console;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Link;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <summary>What a standby's session needs from the program.</summary>
public sealed record StandbySetup
{
    /// <summary>
    /// Builds the machine that a primary announced, paused and never started; called once, on the worker's thread.
    /// It uses
    /// the same disks and consoles as this setup. A <see cref="NotSupportedException"/> refuses, with its text.
    /// </summary>
    public required Func<MachineIdentity, IProtectedMachine> CreateMachine { get; init; }

    /// <summary>The disks in the machine's order; the session writes to them until it goes live.</summary>
    public required IReadOnlyList<IBlockDevice> Disks { get; init; }

    /// <summary>What gives the guest's changes their epochs once it runs here: over the same disks.</summary>
    public required IReadOnlyList<EpochTagFilter> Filters { get; init; }

    /// <summary>
    /// Those of the disks that the primary has, too; nothing is written to them before this side has won.
    /// </summary>
    public IReadOnlyList<SharedDisk> SharedDisks { get; init; } = [];

    /// <summary>The disks' write-intent logs, of when this side was the primary; none: it does not know.</summary>
    public IReadOnlyList<WriteIntentLog> Intents { get; init; } = [];

    /// <summary>The ways out for console bytes, in the primary's order; for what a takeover has to repeat.</summary>
    public required IReadOnlyList<IByteStream> Consoles { get; init; }

    /// <summary>Folder for the journal and the mark; on storage as safe as the disks.</summary>
    public required string StateFolder { get; init; }

    /// <summary>
    /// When any of the disks' images was last written, by anybody, in UTC (rule 44); by default, disks that nobody else
    /// can reach.
    /// </summary>
    public Func<DateTime> ImagesWritten { get; init; } = static () => DateTime.MinValue;

    /// <summary>Where to listen.</summary>
    public required IPEndPoint Listen { get; init; }

    /// <summary>How the halves make sure of each other; the same on both.</summary>
    public required LinkSecurity Security { get; init; }

    /// <summary>How long a caller may take to prove who it is.</summary>
    internal TimeSpan HandshakeTimeMax { get; init; } = LinkSecurity.HandshakeTimeMax;

    /// <summary>The pair's witness.</summary>
    public required Witness Witness { get; init; }

    /// <summary>Settings of the protocol.</summary>
    public required StandbyOptions Options { get; init; }

    /// <summary>Host time.</summary>
    public required IHostClock Clock { get; init; }

    /// <summary>Who is told what happens.</summary>
    public required ISessionEvents Events { get; init; }

    /// <summary>Size at which a half of the journal is full.</summary>
    public long JournalSegmentBytes { get; init; } = 64 << 20;
}
