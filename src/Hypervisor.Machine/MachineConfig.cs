using System;
using System.Collections.Generic;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Network;
using Hypervisor.Core.Memory;
using Hypervisor.Cpu;
using Hypervisor.Devices.Virtio;
using Hypervisor.Machine.Boot;

namespace Hypervisor.Machine;

/// <summary>
/// Everything that a user can say about one machine. Checked where it was typed; the machine trusts it.
/// </summary>
/// <remarks>
/// The two halves of a pair must agree on memory, vCPUs, CPU model and the sizes of the drives
/// (fault-tolerance rule 33); a standby needs no kernel, because its RAM comes over the wire.
/// </remarks>
public sealed record MachineConfig
{
    /// <summary>Size of RAM when nothing is said.</summary>
    public const long MemoryBytesDefault = 512L << 20;

    /// <summary>Memory for a vCPU's translated code when nothing is said.</summary>
    public const long CodeCacheBytesDefault = 128L << 20;

    /// <summary>Least memory for translated code: some thousand blocks.</summary>
    public const long CodeCacheBytesMin = 8L << 20;

    /// <summary>Most: jumps in it have 32 bits.</summary>
    public const long CodeCacheBytesMax = 1L << 30;

    /// <summary>Smallest RAM: the real-mode address space.</summary>
    public const long MemoryBytesMin = GuestRam.BytesMin;

    /// <summary>Largest number of vCPUs: what 8-bit xAPIC ids address, less the broadcast id.</summary>
    public const int CpuCountMax = 254;

    /// <summary>Port of `isa-debug-exit` when none is named, as in QEMU.</summary>
    public const int DebugExitPortDefault = 0x501;

    /// <summary>Largest number of drives: the free slots of one PCI bus, less those of NICs and balloon.</summary>
    public const int DriveCountMax = 23;

    /// <summary>Largest number of NICs.</summary>
    public const int NetworkCountMax = 4;

    /// <summary>Names that <see cref="CpuModel"/> may have, weakest first.</summary>
    public static IReadOnlyList<string> CpuModels { get; } = ["x86-64-v1", "x86-64-v2", "x86-64-v3", "x86-64-v4"];

    /// <summary>
    /// What a guest with one of <see cref="CpuModels"/> would need and this host lacks; empty: nothing.
    /// </summary>
    public static string Lacking(string cpuModel)
        => string.Join(", ", Hypervisor.Cpu.Identification.CpuModel.Named(cpuModel).Lacking).ToUpperInvariant();

    /// <summary>Name of the machine in status lines and messages.</summary>
    public string Name { get; init; } = "guest";

    /// <summary>Identity of the virtual machine; the same on both halves of a pair.</summary>
    public Guid Uuid { get; init; }

    /// <summary>Size of RAM in bytes, a multiple of 1 MiB.</summary>
    public long MemoryBytes { get; init; } = MemoryBytesDefault;

    /// <summary>Number of vCPUs, 1 to <see cref="CpuCountMax"/>.</summary>
    public int CpuCount { get; init; } = 1;

    /// <summary>One of <see cref="CpuModels"/>, or null for the best up to x86-64-v3 that the host has.</summary>
    public string? CpuModel { get; init; }

    /// <summary>What executes guest instructions; a host without BMI2 or AVX2 interprets them all.</summary>
    public ExecutionEngine Engine { get; init; } = ExecutionEngine.Translator;

    /// <summary>
    /// Bytes of memory for each vCPU's translated code, from <see cref="CodeCacheBytesMin"/> to
    /// <see cref="CodeCacheBytesMax"/>; when it is full, all is translated anew.
    /// </summary>
    public long CodeCacheBytes { get; init; } = CodeCacheBytesDefault;

    /// <summary>Whether translated code counts its instructions, for statistics: some percent slower.</summary>
    public bool CountsInstructions { get; init; }

    /// <summary>Takes a listing of each block that is translated; null: none are made. On the vCPUs' threads.</summary>
    public Action<string>? OnTranslated { get; init; }

    /// <summary>Takes each piece of code that is generated; null: nobody does. On the vCPUs' threads.</summary>
    public Action<CodeArea>? OnCode { get; init; }

    /// <summary>bzImage, PVH ELF or multiboot ELF; null boots firmware from the first drive.</summary>
    public BootFile? Kernel { get; init; }

    /// <summary>Initial RAM disk; only with a kernel.</summary>
    public BootFile? Initrd { get; init; }

    /// <summary>Kernel command line; only with a kernel.</summary>
    public string CommandLine { get; init; } = "";

    /// <summary>Firmware image (SeaBIOS, OVMF) instead of our own.</summary>
    public BootFile? Firmware { get; init; }

    /// <summary>virtio-blk disks, in PCI slot order; the first one boots.</summary>
    public IReadOnlyList<DriveOptions> Drives { get; init; } = [];

    /// <summary>The host's ends of COM1, COM2, …, at most four, and of the virtio console.</summary>
    public IReadOnlyList<SerialConfig> Serials { get; init; } = [];

    /// <summary>virtio-net NICs, in PCI slot order, and what they are plugged into.</summary>
    public IReadOnlyList<NetworkOptions> Networks { get; init; } = [];

    /// <summary>The memory balloon; null: none.</summary>
    public VirtioBalloonOptions? Balloon { get; init; }

    /// <summary>
    /// Port of `isa-debug-exit`: the process then exits with (value written &lt;&lt; 1) | 1. Null when absent.
    /// </summary>
    public int? DebugExitPort { get; init; }

    /// <summary>Whether a guest reset ends the run instead of starting the guest again.</summary>
    public bool StopsOnReset { get; init; }

    /// <summary>
    /// Date and time that the RTC shows at power-on, as the guest reads it (its kind is not looked at).
    /// </summary>
    public DateTime RtcStart { get; init; }
}
