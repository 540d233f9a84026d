namespace Hypervisor.Cpu.Control;

/// <summary>One MSR, or a range of them, in <see cref="MsrCatalog"/>.</summary>
/// <param name="first">Its number.</param>
/// <param name="count">How many from there.</param>
/// <param name="read">Reads MSR n; false is #GP(0). Null: write-only.</param>
/// <param name="write">Writes MSR n; false is #GP(0). Null: read-only.</param>
internal readonly unsafe struct MsrEntry(
    uint first,
    int count,
    delegate*<Vcpu, uint, out ulong, bool> read,
    delegate*<Vcpu, uint, ulong, bool> write)
{
    internal readonly uint First = first;
    internal readonly int Count = count;
    internal readonly delegate*<Vcpu, uint, out ulong, bool> Read = read;
    internal readonly delegate*<Vcpu, uint, ulong, bool> Write = write;
}
