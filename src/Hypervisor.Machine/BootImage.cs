using System;

namespace Hypervisor.Machine;

/// <summary>A file that is put into guest RAM at power-on, already read.</summary>
/// <param name="Name">Path, or name of an embedded guest: what messages call it.</param>
/// <param name="Bytes">All of it.</param>
public sealed record BootImage(string Name, ReadOnlyMemory<byte> Bytes);
