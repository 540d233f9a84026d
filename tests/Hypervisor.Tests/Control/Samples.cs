using Hypervisor.Control;
using Hypervisor.Devices.Virtio;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Tests.Control;

/// <summary>A status of each role, with every field that the role has.</summary>
internal static class Samples
{
    public static GuestStatus Primary { get; } = new()
    {
        Role = GuestRole.Primary,
        Guest = "db",
        State = "protected",
        Reason = "",
        LastEvent = "protected · \"generation\" 3",
        UptimeMicros = 93_784_500_000,
        Generation = 3,
        Incarnation = 0xFEDC_BA98_7654_3210,
        Epochs = 1200,
        OpenEpoch = 1201,
        AckedEpoch = 1199,
        ReleasedEpoch = 1198,
        Pauses = new PauseSummary(1200, 310_000, 2_500_000, 7_000_000) { TotalNanos = 480_000_000 },
        RecentPauseMicros = [0, 350, 700, 7000],
        PauseCounts = [0, 0, 3, 1190, 7],
        Phases =
        [
            new("stop", new PauseSummary(1200, 900, 80_000, 90_000) { TotalNanos = 2_000_000 }),
            new("capture", new PauseSummary(1200, 200_000, 300_000, 400_000) { TotalNanos = 240_000_000 }),
            new("arm", new PauseSummary(1200, 1000, 2000, 3000)),
            new("resume", new PauseSummary(1200, 4000, 5000, 6000)),
            new("apply", default),
        ],
        CutReasons = [new(CutReason.Grid, 0), new(CutReason.OutputWaiting, 200), new(CutReason.PauseBudget, 1000)],
        LastCut = CutReason.PauseBudget,
        SwitchOver = new SwitchOverStatus(2, true, "the standby refused: not in sync"),
        LagMicros = 4200,
        HasLease = true,
        BytesSent = 5 << 20,
        DirtyPages = 321,
        Scrub = new ScrubStatus(ScrubState.Ended, 2 << 20, 4, "the link broke"),
        CopyDoneBytes = 1 << 20,
        CopyTotalBytes = 4 << 20,
        Instructions = 123_456_789,
        Balloon = new BalloonStatus(64 << 20, 32 << 20, 100 << 20, 120 << 20),
        Disks = [new DiskIdentity("root", 1 << 30), new DiskIdentity("data", 4096)],
        Taints = PairTaints.SameHost | PairTaints.AckFromMemory,
    };

    public static GuestStatus Standby { get; } = new()
    {
        Role = GuestRole.Standby,
        Guest = "db",
        State = "failed",
        Reason = "disk 'root': the primary has 1073741824 bytes, the standby has 4096",
        UptimeMicros = 1_000_000,
        Generation = 3,
        Incarnation = 1,
        CommittedEpoch = 12,
        AppliedEpoch = 11,
        Phases = [new("journal", new PauseSummary(12, 1_000_000, 2_000_000, 3_000_000) { TotalNanos = 12_500_000 })],
        BytesReceived = 3 << 20,
    };

    public static GuestStatus Alone { get; } = new()
    {
        Role = GuestRole.Alone,
        Guest = "db",
        State = "running",
        UptimeMicros = 1_000_000,
    };
}
