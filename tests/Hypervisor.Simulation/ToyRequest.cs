using System;
using System.Buffers.Binary;
using Hypervisor.Backends.Block;

namespace Hypervisor.Simulation;

/// <summary>A disk request of the toy guest.</summary>
/// <param name="Id">Unique in the life of the guest.</param>
/// <param name="Disk">Which disk.</param>
/// <param name="Operation">What to do.</param>
/// <param name="Sector">First sector.</param>
/// <param name="Count">Sectors.</param>
/// <param name="Value">What a write stores in each sector.</param>
internal sealed record ToyRequest(ulong Id, int Disk, BlockOperation Operation, int Sector, int Count, ulong Value)
{
    /// <summary>Value that the sectors hold afterwards.</summary>
    public ulong ValueAfter => Operation == BlockOperation.Write ? Value : 0;

    public bool Overlaps(ToyRequest other)
        => Disk == other.Disk && (IsOfAll || other.IsOfAll
            || (Sector < other.Sector + other.Count && other.Sector < Sector + Count));

    private bool IsOfAll => Operation is BlockOperation.Flush or BlockOperation.Resize;

    /// <summary>The bytes of a write.</summary>
    public byte[] Data()
    {
        byte[] data = new byte[Count * SimDisk.SectorBytes];
        for (int i = 0; i < Count; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(
                data.AsSpan(i * SimDisk.SectorBytes), Value);
            BinaryPrimitives.WriteUInt64LittleEndian(
                data.AsSpan((i * SimDisk.SectorBytes) + 8), ~Value);
        }

        return data;
    }
}
