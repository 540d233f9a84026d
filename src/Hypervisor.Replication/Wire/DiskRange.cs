namespace Hypervisor.Replication.Wire;

/// <summary>Bytes of one disk.</summary>
/// <remarks><code>disk u16 | offset i64 | length i64</code></remarks>
/// <param name="Disk">Which, in the order of the Hello.</param>
/// <param name="OffsetBytes">First byte.</param>
/// <param name="LengthBytes">How many.</param>
internal readonly record struct DiskRange(ushort Disk, long OffsetBytes, long LengthBytes)
{
    internal void Write(ref WireWriter writer)
    {
        writer.U16(Disk);
        writer.Size(OffsetBytes);
        writer.Size(LengthBytes);
    }

    internal static DiskRange Read(ref WireReader reader)
        => new(reader.U16("disk"), reader.Size("offset"), reader.Size("length"));
}
