namespace Hypervisor.Machine.Boot;

/// <summary>One line of the memory map.</summary>
/// <param name="StartGpa">First byte.</param>
/// <param name="LengthBytes">Bytes, never 0.</param>
/// <param name="Kind">What it is.</param>
public readonly record struct MemoryRange(ulong StartGpa, ulong LengthBytes, MemoryKind Kind)
{
    /// <summary>First byte after the range.</summary>
    public ulong EndGpa => StartGpa + LengthBytes;
}
