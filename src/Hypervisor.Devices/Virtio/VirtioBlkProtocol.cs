namespace Hypervisor.Devices.Virtio;

/// <summary>Numbers of virtio-blk. Spec: VIRTIO 1.2, section 5.2.</summary>
internal static class VirtioBlkProtocol
{
    public const ulong SizeMaxFeature = 1UL << 1;
    public const ulong SegmentMaxFeature = 1UL << 2;
    public const ulong ReadOnlyFeature = 1UL << 5;
    public const ulong BlockSizeFeature = 1UL << 6;
    public const ulong FlushFeature = 1UL << 9;
    public const ulong TopologyFeature = 1UL << 10;
    public const ulong ConfigWceFeature = 1UL << 11;
    public const ulong MultiQueueFeature = 1UL << 12;
    public const ulong DiscardFeature = 1UL << 13;
    public const ulong WriteZeroesFeature = 1UL << 14;

    public const uint In = 0, Out = 1, Flush = 4, GetId = 8, Discard = 11, WriteZeroes = 13;
    public const byte Ok = 0, IoError = 1, Unsupported = 2;

    /// <summary>type u32 | reserved u32 | sector u64.</summary>
    public const int HeaderBytes = 16;

    /// <summary>Discard and write-zeroes: sector u64 | count u32 | flags u32 (bit 0 unmap).</summary>
    public const int RangeBytes = 16;

    /// <summary>Length of the answer to <see cref="GetId"/>.</summary>
    public const int IdBytes = 20;

    /// <summary>Unit of every position and length.</summary>
    public const int SectorBytes = 512;

    /// <summary>Bit 0 of a range's flags.</summary>
    public const uint UnmapFlag = 1;
}
