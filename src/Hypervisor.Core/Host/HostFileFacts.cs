namespace Hypervisor.Core.Host;

/// <summary>What the host knows of an open file.</summary>
/// <param name="LengthBytes">Size; of a block device its capacity.</param>
/// <param name="AllocatedBytes">Bytes of storage behind it; 0 for a block device.</param>
/// <param name="Kind">Regular file, block device, or something else.</param>
/// <param name="DirectAlignment">Alignment that O_DIRECT needs of offsets, lengths and buffers; a power of two.</param>
public readonly record struct HostFileFacts(
    long LengthBytes, long AllocatedBytes, HostFileKind Kind, int DirectAlignment);
