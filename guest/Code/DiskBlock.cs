namespace Hypervisor.Guest.Code;

/// <summary>Offsets in the 8 KiB that a guest keeps per disk; R12 holds the block's address in all disk routines.</summary>
internal static class DiskBlock
{
    /// <summary>Entries of the virtqueue.</summary>
    public const int QueueSize = 8;

    /// <summary>Descriptor table: 0-2 the write, 3-4 the flush.</summary>
    public const int Descriptors = 0x000;

    /// <summary>Available ring: flags u16, index u16, entries u16.</summary>
    public const int Available = 0x100;

    /// <summary>Used ring: flags u16, index u16, entries of 8 bytes.</summary>
    public const int Used = 0x140;

    /// <summary>Request header of the write: type u32, reserved u32, sector u64.</summary>
    public const int WriteHeader = 0x200;

    /// <summary>Status byte of the write.</summary>
    public const int WriteStatus = 0x210;

    /// <summary>Request header of the flush.</summary>
    public const int FlushHeader = 0x220;

    /// <summary>Status byte of the flush.</summary>
    public const int FlushStatus = 0x230;

    /// <summary>Addresses of the virtio structures by cfg_type: 8 common, 10h notify, 18h ISR, 20h device.</summary>
    public const int Structures = 0x240;

    /// <summary>Address of the common configuration.</summary>
    public const int CommonConfig = Structures + (1 * 8);

    /// <summary>Address of the notify area; after the set-up of the queue, of its doorbell.</summary>
    public const int Notify = Structures + (2 * 8);

    /// <summary>Address of the device configuration.</summary>
    public const int DeviceConfig = Structures + (4 * 8);

    /// <summary>Address of the MSI-X table.</summary>
    public const int MsixTable = Structures + (5 * 8);

    /// <summary>notify_off_multiplier.</summary>
    public const int NotifyMultiplier = Structures + (6 * 8);

    /// <summary>Used index up to which completions were taken.</summary>
    public const int UsedSeen = Structures + (7 * 8);

    /// <summary>Slots for records on this disk.</summary>
    public const int Slots = Structures + (8 * 8);

    /// <summary>Whether the disk takes flushes.</summary>
    public const int HasFlush = Structures + (9 * 8);

    /// <summary>Index of the disk.</summary>
    public const int Index = Structures + (10 * 8);

    /// <summary>The record.</summary>
    public const int Record = 0x400;
}
