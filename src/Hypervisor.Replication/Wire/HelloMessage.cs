using System;

namespace Hypervisor.Replication.Wire;

/// <summary>The primary introduces itself and the machine. The incarnation is in the frame header.</summary>
/// <remarks>
/// <code>
/// node UUID | generation u64 | lease i64 ns | epochs in flight max u16 | VM UUID | pair UUID |
/// machine model text | CPU model text | RAM bytes i64 |
/// disk count u16 | per disk: id text, bytes i64 |
/// section count u16 | per section: tag u32, instance u16, version u16 | compressions u8
/// </code>
/// </remarks>
internal sealed class HelloMessage : Message
{
    private const int FixedPartBytes = 16 + 8 + 8 + 2 + 16 + 16 + 8 + 2 + 2 + 1;

    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.Hello;

    /// <inheritdoc/>
    public override int FieldBytes
    {
        get
        {
            int bytes = FixedPartBytes
                + WireWriter.TextBytes(Machine.MachineModel) + WireWriter.TextBytes(Machine.CpuModel);
            foreach (DiskIdentity disk in Machine.Disks)
            {
                bytes += WireWriter.TextBytes(disk.Id) + 9;
            }

            return bytes + (8 * Machine.Sections.Count);
        }
    }

    /// <summary>Who the primary is at the witness.</summary>
    public required Guid Node { get; init; }

    /// <summary>Generation that the primary runs.</summary>
    public required ulong Generation { get; init; }

    /// <summary>How long the primary releases output after it last proved to be connected.</summary>
    public required long LeaseNanos { get; init; }

    /// <summary>Most epochs that it sends ahead of the last acknowledged one.</summary>
    public required ushort EpochsInFlightMax { get; init; }

    /// <summary>What it runs.</summary>
    public required MachineIdentity Machine { get; init; }

    /// <summary>How it may compress: the standby chooses one of them.</summary>
    public Compressions Compressions { get; init; } = Compressions.None;

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.Uuid(Node);
        writer.U64(Generation);
        writer.Size(LeaseNanos);
        writer.U16(EpochsInFlightMax);
        writer.Uuid(Machine.VmId);
        writer.Uuid(Machine.PairId);
        writer.Text(Machine.MachineModel);
        writer.Text(Machine.CpuModel);
        writer.Size(Machine.RamBytes);
        writer.U16((ushort)Machine.Disks.Count);
        foreach (DiskIdentity disk in Machine.Disks)
        {
            writer.Text(disk.Id);
            writer.Size(disk.LengthBytes);
            writer.U8(disk.IsShared ? (byte)1 : (byte)0);
        }

        writer.U16((ushort)Machine.Sections.Count);
        foreach (SectionFormat section in Machine.Sections)
        {
            writer.U32(section.Tag);
            writer.U16(section.Instance);
            writer.U16(section.Version);
        }

        writer.U8((byte)Compressions);
    }

    internal static HelloMessage Read(ref WireReader reader)
    {
        Guid node = reader.Uuid("node");
        ulong generation = reader.U64("generation");
        long lease = reader.Size("lease");
        ushort inFlight = reader.U16("epochs in flight max");
        Guid vm = reader.Uuid("VM UUID");
        Guid pair = reader.Uuid("pair UUID");
        string machineModel = reader.Text("machine model");
        string cpuModel = reader.Text("CPU model");
        long ram = reader.Size("RAM bytes");
        var disks = new DiskIdentity[reader.Count("disk count", MessageLimits.DisksMax)];
        for (int i = 0; i < disks.Length; i++)
        {
            disks[i] = new DiskIdentity(
                reader.Text("disk id"), reader.Size("disk bytes"), reader.U8("is disk shared") != 0);
        }

        var sections = new SectionFormat[reader.Count("section count", MessageLimits.SectionsMax)];
        for (int i = 0; i < sections.Length; i++)
        {
            sections[i] = new SectionFormat(
                reader.U32("section tag"), reader.U16("section instance"), reader.U16("section version"));
        }

        return new()
        {
            Node = node,
            Generation = generation,
            LeaseNanos = lease,
            EpochsInFlightMax = inFlight,
            Machine = new MachineIdentity(vm, pair, machineModel, cpuModel, ram, disks, sections),
            Compressions = (Compressions)reader.U8("compressions"),
        };
    }
}
