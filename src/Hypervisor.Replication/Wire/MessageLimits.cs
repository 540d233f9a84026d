namespace Hypervisor.Replication.Wire;

/// <summary>
/// The most that one frame of each kind may carry. The receiver allocates no more than this for a peer's word.
/// </summary>
internal static class MessageLimits
{
    /// <summary>
    /// Most payload bytes that follow the fields of a bulk message; the sender splits what is larger.
    /// </summary>
    public const int BulkBytesMax = 16 << 20;

    /// <summary>Most disks of one machine.</summary>
    public const int DisksMax = 64;

    /// <summary>Most section formats that a machine may name.</summary>
    public const int SectionsMax = 1024;

    /// <summary>Longest text field in UTF-8 bytes: its length is one byte on the wire.</summary>
    public const int TextBytesMax = 255;

    private const int SmallBytesMax = 4096;
    private const int ScrubBytesMax = 64 << 10; // hashes of some thousand pages
    private const int HelloBytesMax = 64 << 10;

    /// <summary>Largest payload of a frame of <paramref name="kind"/>.</summary>
    public static int PayloadBytesMax(MessageKind kind) => kind switch
    {
        MessageKind.Hello => HelloBytesMax,
        MessageKind.Welcome => HelloBytesMax,
        MessageKind.Refusal => SmallBytesMax,
        MessageKind.RamBlock => RamBlockMessage.FieldBytesFixed + BulkBytesMax,
        MessageKind.DiskBlock => DiskBlockMessage.FieldBytesFixed + BulkBytesMax,
        MessageKind.DiskWrite => DiskWriteMessage.FieldBytesFixed + BulkBytesMax,
        MessageKind.Section => BulkBytesMax,
        MessageKind.Output => OutputMessage.FieldBytesFixed + BulkBytesMax,
        MessageKind.EpochEnd => SmallBytesMax,
        MessageKind.EpochAck => SmallBytesMax,
        MessageKind.FullCopyDone => SmallBytesMax,
        MessageKind.FullCopyAck => SmallBytesMax,
        MessageKind.Heartbeat => SmallBytesMax,
        MessageKind.HeartbeatReply => SmallBytesMax,
        MessageKind.PlannedEnd => SmallBytesMax,
        MessageKind.PlannedEndAck => SmallBytesMax,
        MessageKind.Abort => SmallBytesMax,
        MessageKind.DiskDigest => SmallBytesMax,
        MessageKind.DiskAnswer => SmallBytesMax,
        MessageKind.Scrub => ScrubBytesMax,
        MessageKind.SwitchOver => SmallBytesMax,
    };
}
