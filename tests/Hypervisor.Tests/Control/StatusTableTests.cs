using Hypervisor.Control;
using Xunit;

namespace Hypervisor.Tests.Control;

public sealed class StatusTableTests
{
    [Fact]
    public void Primary_is_told_in_two_columns() => Assert.Equal(
        [
            "guest        db",
            "role         primary",
            "state        protected",
            "taints       both halves on this machine, acknowledged from memory",
            "uptime       1 d 02:03:04",
            "generation   3, incarnation fedcba9876543210",
            "epochs       open 1201, acked 1199, released 1198",
            "pauses       p50 0.31 ms, p99 2.50 ms, max 7.00 ms of 1200",
            "phase        stop: p50 0.00 ms, p99 0.08 ms, max 0.09 ms of 1200",
            "phase        capture: p50 0.20 ms, p99 0.30 ms, max 0.40 ms of 1200",
            "phase        arm: p50 0.00 ms, p99 0.00 ms, max 0.00 ms of 1200",
            "phase        resume: p50 0.00 ms, p99 0.01 ms, max 0.01 ms of 1200",
            "cuts         output waits 200 · pause budget 1000; last: pause budget",
            "lag          4.20 ms",
            "sent         5.0 MiB",
            "dirty pages  321 in the last epoch",
            "switch-over  none: the standby refused: not in sync",
            "scrub        ended after 2.0 MiB: the link broke",
            "instructions 123456789",
            "balloon      32.0 MiB given back of 64.0 MiB asked for; "
                + "of the rest 100.0 MiB are free, 120.0 MiB available",
            "disk         root, 1G",
            "disk         data, 4K",
            "last event   protected · \"generation\" 3",
        ],
        StatusTable.Write(Samples.Primary));

    [Fact]
    public void Standby_says_why_it_failed_with_both_values() => Assert.Equal(
        [
            "guest        db",
            "role         standby",
            "state        failed: disk 'root': the primary has 1073741824 bytes, the standby has 4096",
            "taints       none",
            "uptime       00:00:01",
            "generation   3, incarnation 0000000000000001",
            "epochs       committed 12, applied 11",
            "phase        journal: p50 1.00 ms, p99 2.00 ms, max 3.00 ms of 12",
            "received     3.0 MiB",
        ],
        StatusTable.Write(Samples.Standby));

    [Fact]
    public void Guest_without_a_pair_has_no_numbers_of_one() => Assert.Equal(
        ["guest        db", "role         alone", "state        running", "taints       none", "uptime       00:00:01"],
        StatusTable.Write(Samples.Alone));

    [Fact]
    public void Copy_and_a_lost_lease_are_told_while_they_last()
    {
        GuestStatus status = Samples.Primary with { State = "copying", HasLease = false };

        Assert.Contains("copy         1.0 MiB of 4.0 MiB", StatusTable.Write(status));
        Assert.Contains("lag          4.20 ms, no lease: output is held", StatusTable.Write(status));
    }
}
