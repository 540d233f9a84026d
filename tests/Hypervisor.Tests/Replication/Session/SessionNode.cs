using System;
using System.Collections.Generic;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Backends.Console;
using Hypervisor.TestKit;

namespace Hypervisor.Tests.Replication.Session;

/// <summary>One side of a pair: a toy machine with disks and a console of its own.</summary>
internal sealed class SessionNode : IDisposable
{
    public const int DiskBytes = 1 << 20;

    public SessionNode(long ramBytes, Action onOverflow)
    {
        for (int i = 0; i < 2; i++)
        {
            Disks.Add(new ToyDisk(DiskBytes));
            Filters.Add(new EpochTagFilter(Disks[i], i));
        }

        Outbox = new OutboxStream(Console, 1 << 20, onOverflow);
        Machine = new ToyMachine(ramBytes, Filters, Outbox);
    }

    public Guid Id { get; } = Guid.NewGuid();

    public List<ToyDisk> Disks { get; } = [];

    public List<EpochTagFilter> Filters { get; } = [];

    public ToyConsole Console { get; } = new();

    public OutboxStream Outbox { get; }

    public ToyMachine Machine { get; }

    public SessionLog Log { get; } = new();

    public void Dispose()
    {
        Machine.Dispose();
        Disks.ForEach(disk => disk.Dispose());
    }
}
