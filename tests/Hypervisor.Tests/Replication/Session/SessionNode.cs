using System;
using System.Collections.Generic;
using System.IO;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Backends.Console;
using Hypervisor.Replication.Disk;
using Hypervisor.TestKit;

namespace Hypervisor.Tests.Replication.Session;

/// <summary>One side of a pair: a toy machine with disks and a console of its own.</summary>
internal sealed class SessionNode : IDisposable
{
    public const int DiskBytes = 1 << 20;

    /// <param name="ramBytes">Size of the RAM.</param>
    /// <param name="onOverflow">Called when the outbox overflows.</param>
    /// <param name="folder">Where its write-intent logs lie.</param>
    /// <param name="disks">Disks of a node that is gone; null: empty ones.</param>
    /// <param name="shared">A disk that the other side has, too; null: none.</param>
    public SessionNode(
        long ramBytes, Action onOverflow, string folder, List<ToyDisk>? disks = null, SharedDisk? shared = null)
    {
        List<IBlockDevice> logged = [];
        for (int i = 0; i < 2; i++)
        {
            Disks.Add(disks?[i] ?? new ToyDisk(DiskBytes));
            Intents.Add(new WriteIntentLog(Path.Combine(folder, $"intent.{i}"), DiskBytes));
            Filters.Add(new EpochTagFilter(Disks[i], i, Intents[i].Changes));
            logged.Add(new WriteIntentFilter(Filters[i], Intents[i]));
        }

        if (shared is not null)
        {
            Shared.Add(shared);
            Filters.Add(new EpochTagFilter(shared, Filters.Count));
            logged.Add(Filters[^1]);
        }

        Outbox = new OutboxStream(Console, 1 << 20, onOverflow);
        Machine = new ToyMachine(ramBytes, logged, Outbox);
    }

    public Guid Id { get; } = Guid.NewGuid();

    public List<ToyDisk> Disks { get; } = [];

    public List<EpochTagFilter> Filters { get; } = [];

    public List<WriteIntentLog> Intents { get; } = [];

    /// <summary>The disk that the other side has, too; none or one, and the last.</summary>
    public List<SharedDisk> Shared { get; } = [];

    public ToyConsole Console { get; } = new();

    public OutboxStream Outbox { get; }

    public ToyMachine Machine { get; }

    public SessionLog Log { get; } = new();

    public void Dispose()
    {
        Machine.Dispose();
        Intents.ForEach(log => log.Dispose());
        Disks.ForEach(disk => disk.Dispose());
    }
}
