using System;
using System.Buffers.Binary;
using System.Linq;
using Hypervisor.Core;
using Hypervisor.TestKit;

namespace Hypervisor.Tests.Devices.Virtio;

/// <summary>A guest's virtio-blk driver with one queue; each request has 64 KiB of RAM for its parts.</summary>
internal sealed class BlkDriver
{
    public const uint In = 0, Out = 1, Flush = 4, GetId = 8, Discard = 11, WriteZeroes = 13;
    public const ulong AllFeatures = VirtioPciDriver.Version1 | (1UL << 28) | (1UL << 9) | (1UL << 13) | (1UL << 14);
    public const ulong EventIndex = 1UL << 29, ConfigWce = 1UL << 11;
    public const ulong QueueGpa = 0x10_0000, RequestGpa = 0x20_0000, SlotBytes = 0x1_0000;
    public const ulong MsiAddress = 0xFEE0_0000;
    public const uint MsiData = 0x51;

    private readonly VirtioBench _bench;
    private int _nextSlot;

    public BlkDriver(VirtioBench bench, ulong features = AllFeatures, ushort queueSize = 64)
    {
        _bench = bench;
        Pci = bench.Probe();
        Pci.EnableMsix();
        Pci.SetVector(0, MsiAddress, MsiData + 100);
        Pci.SetVector(1, MsiAddress, MsiData);
        Check.That(Pci.Negotiate(features));
        Pci.WriteCommon(16, 2, 0);
        Queue = new VirtqueueDriver(bench.Harness.Ram, QueueGpa, queueSize);
        Pci.SetUpQueue(0, Queue, 1);
        Pci.Start();
    }

    public VirtioPciDriver Pci { get; }

    public VirtqueueDriver Queue { get; }

    /// <summary>Makes a request available and notifies; returns its slot.</summary>
    public int Submit(
        uint type, ulong sector, byte[]? toDevice = null, int fromDeviceBytes = 0, bool isIndirect = false)
    {
        int slot = Prepare(type, sector, toDevice, fromDeviceBytes, isIndirect);
        Pci.Kick(0);
        return slot;
    }

    /// <summary>Makes a request available without a notification.</summary>
    public int Prepare(
        uint type, ulong sector, byte[]? toDevice = null, int fromDeviceBytes = 0, bool isIndirect = false)
    {
        int slot = _nextSlot++;
        ulong gpa = SlotGpa(slot);
        byte[] header = new byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(8), sector);
        Check.That(_bench.Harness.Ram.TryWrite(gpa, header));
        Check.That(_bench.Harness.Ram.TryWrite(gpa + 0x800, [0xFF]));
        Check.That(_bench.Harness.Ram.TryWrite(gpa + 0x1000, toDevice ?? []));

        (ulong, uint, bool)[] parts =
        [
            (gpa, 16, false),
            .. Data(gpa + 0x1000, toDevice?.Length ?? 0, false),
            .. Data(gpa + 0x1000, fromDeviceBytes, true),
            (gpa + 0x800, 1, true),
        ];
        _ = isIndirect ? Queue.AddIndirect(gpa + 0x400, parts) : Queue.Add(parts);
        return slot;
    }

    public byte Status(int slot) => Bytes(slot, 0x800, 1)[0];

    public byte[] DataOf(int slot, int count) => Bytes(slot, 0x1000, count);

    public static byte[] Range(ulong sector, uint count, uint flags)
    {
        byte[] range = new byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(range, sector);
        BinaryPrimitives.WriteUInt32LittleEndian(range.AsSpan(8), count);
        BinaryPrimitives.WriteUInt32LittleEndian(range.AsSpan(12), flags);
        return range;
    }

    public static byte[] Pattern(int length, int seed)
        => Enumerable.Range(0, length).Select(i => (byte)((i * 7) + seed)).ToArray();

    public static ulong SlotGpa(int slot) => RequestGpa + ((ulong)slot * SlotBytes);

    // Two pieces where there is enough, cut at an odd place.
    private static (ulong, uint, bool)[] Data(ulong gpa, int length, bool isWritable)
        => length == 0 ? []
            : length <= 100 ? [(gpa, (uint)length, isWritable)]
            : [(gpa, 99, isWritable), (gpa + 99, (uint)length - 99, isWritable)];

    private byte[] Bytes(int slot, ulong offset, int count)
    {
        byte[] bytes = new byte[count];
        Check.That(_bench.Harness.Ram.TryRead(SlotGpa(slot) + offset, bytes));
        return bytes;
    }
}
