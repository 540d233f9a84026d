namespace Hypervisor.Machine.Boot;

/// <summary>A descriptor table register.</summary>
/// <param name="Base">Linear address of the table.</param>
/// <param name="Limit">Offset of its last byte.</param>
public readonly record struct BootTable(ulong Base, ushort Limit);
