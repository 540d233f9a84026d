using System;
using System.Collections.Generic;

namespace Hypervisor.Replication.Wire;

/// <summary>What both sides must agree on before a byte of state is sent (rules 33, 43).</summary>
/// <param name="VmId">Identity of the guest.</param>
/// <param name="PairId">Identity of the pair, key of its witness record.</param>
/// <param name="MachineModel">Board and version, such as "pc-1".</param>
/// <param name="CpuModel">CPU model, such as "x86-64-v3".</param>
/// <param name="RamBytes">Guest RAM.</param>
/// <param name="Disks">
/// Disks in the machine's order, with the sizes that they have at the moment: a rim whose disks are resized gives a
/// list that follows them.
/// </param>
/// <param name="Sections">Checkpoint sections in checkpoint order.</param>
public sealed record MachineIdentity(
    Guid VmId,
    Guid PairId,
    string MachineModel,
    string CpuModel,
    long RamBytes,
    IReadOnlyList<DiskIdentity> Disks,
    IReadOnlyList<SectionFormat> Sections);

/// <summary>One disk as the peers compare it.</summary>
/// <param name="Id">Name on the command line; at most 255 bytes of UTF-8.</param>
/// <param name="LengthBytes">Size.</param>
/// <param name="IsShared">Whether both halves reach the same image: it is not copied, and held like output.</param>
public readonly record struct DiskIdentity(string Id, long LengthBytes, bool IsShared = false);

/// <summary>A checkpoint section and the format version that this build writes.</summary>
/// <param name="Tag">Kind of component.</param>
/// <param name="Instance">Which one of that kind.</param>
/// <param name="Version">Format version.</param>
public readonly record struct SectionFormat(uint Tag, ushort Instance, ushort Version);
