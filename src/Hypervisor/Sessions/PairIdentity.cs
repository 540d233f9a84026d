using System;
using System.Collections.Generic;
using System.Security.Cryptography;
using Hypervisor.Backends.Block;
using Hypervisor.CommandLine;
using Hypervisor.Core.State;
using Hypervisor.Machine;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Sessions;

/// <summary>What a half of a pair says of itself.</summary>
internal static class PairIdentity
{
    private const string MachineModel = "pc-1"; // counts up when the board changes under the guest

    /// <summary>What both halves must agree on (fault-tolerance rule 33).</summary>
    public static MachineIdentity Of(
        MachineConfig config, Machine.Machine machine, IReadOnlyList<IBlockDevice> drives)
    {
        var sections = new List<SectionFormat>();
        foreach (ICheckpointed component in machine.Components)
        {
            SectionId id = component.Section;
            sections.Add(new SectionFormat(id.Tag, id.Instance, id.Version));
        }

        return new MachineIdentity(
            config.Uuid,
            config.Uuid,
            MachineModel,
            machine.CpuModelName,
            config.MemoryBytes,
            Disks(config, drives),
            sections);
    }

    /// <summary>Names and sizes of the disks, in the guest's order; follows their sizes.</summary>
    public static IReadOnlyList<DiskIdentity> Disks(MachineConfig config, IReadOnlyList<IBlockDevice> drives)
        => new DiskSizes(config, drives);

    /// <summary>What makes the protection weaker than it could be.</summary>
    public static PairTaints Taints(ProtectionConfig protection, Endpoint peer)
        => (protection.IsAckDurable ? PairTaints.None : PairTaints.AckFromMemory)
            | (peer.IsThisHost ? PairTaints.SameHost : PairTaints.None)
            | (peer.IsThisHost || protection.Link.IsEncrypted ? PairTaints.None : PairTaints.Insecure);

    /// <summary>The pair's state, and what makes the protection weaker, for the status line.</summary>
    public static string Describe(PrimaryState state, PairTaints taints)
        => $"{state}"
            + (taints.HasFlag(PairTaints.SameHost) ? ", both halves on this machine" : "")
            + (taints.HasFlag(PairTaints.AckFromMemory) ? ", acknowledged from memory" : "")
            + (taints.HasFlag(PairTaints.Insecure) ? ", link is not encrypted" : "");

    /// <summary>A fresh number for a life of the pair, not 0.</summary>
    public static ulong NextIncarnation()
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        RandomNumberGenerator.Fill(bytes);
        return BitConverter.ToUInt64(bytes) | 1;
    }
}
