using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Standby;
using Xunit;

namespace Hypervisor.Tests.Replication.Session;

/// <summary>Comparing everything while the guest of a pair runs.</summary>
public sealed class ScrubTests
{
    private const long Fast = 1L << 32;

    [Fact]
    public void Rule_25_halves_that_are_the_same_are_found_the_same_while_the_guest_writes()
    {
        using var pair = new SessionPair();
        pair.Protect();

        for (int number = 1; number <= 3; number++)
        {
            pair.Primary!.Scrub(Fast);
            pair.Await(() => Ended(pair, number), "the scrub does not end");

            ScrubStatus scrub = pair.Primary.Statistics.Status.Scrub;
            Assert.Equal((ScrubState.Same, ""), (scrub.State, scrub.Reason));
            Assert.Equal(SessionPair.RamBytes + (2 * SessionNode.DiskBytes), scrub.SentBytes);
        }

        Assert.Contains("scrub: all of RAM and 2 disks are the same", $"{pair.PrimaryLog}", StringComparison.Ordinal);
        Assert.Equal(PrimaryState.Protected, pair.Primary!.Statistics.Status.State);
    }

    [Fact]
    public void Rule_25_byte_of_a_disk_that_changed_by_itself_ends_protection_and_is_named()
    {
        using var pair = new SessionPair();
        pair.Protect();
        int last = SessionNode.DiskBytes - 1; // where the guest does not write
        pair.StandbyDisks[1].Decay(last);

        pair.Primary!.Scrub(Fast);

        AssertFound(pair, $"scrub: disk b: bytes {last / 4096 * 4096} to {last} are not what the primary has");
    }

    [Fact]
    public void Rule_25_byte_of_RAM_that_changed_by_itself_ends_protection_and_is_named()
    {
        using var pair = new SessionPair();
        pair.Protect();
        long page = (SessionPair.RamBytes / 4096) - 1; // where the guest does not write
        pair.StandbyMachine.Ram.WritableBytes(page * 4096, 1)[0] ^= 1;

        pair.Primary!.Scrub(Fast);

        AssertFound(pair, $"scrub: RAM: bytes {page * 4096} to {(page * 4096) + 4095} are not what the primary has");
    }

    [Fact]
    public void Page_of_the_primary_that_changed_without_a_mark_ends_protection_and_is_named()
    {
        using var pair = new SessionPair();
        pair.Protect();
        long page = (SessionPair.RamBytes / 4096) - 1;
        StoreUnmarked(pair, page);

        pair.Primary!.Scrub(Fast);

        pair.Await(() => Ended(pair, 1), "the scrub does not end");
        Assert.Contains(
            $"page {page} of RAM changed without being marked",
            pair.Primary.Statistics.Status.Scrub.Reason,
            StringComparison.Ordinal);
    }

    private static void StoreUnmarked(SessionPair pair, long page)
    {
        // Not by a pause: the session pauses the machine too, and it counts no pauses.
        ReadOnlySpan<byte> bytes = pair.PrimaryMachine.Ram.ReadOnlyBytes(page * 4096, 1);
        Unsafe.AsRef(in MemoryMarshal.GetReference(bytes)) ^= 1;
    }

    private static void AssertFound(SessionPair pair, string text)
    {
        pair.Await(() => Ended(pair, 1), "the scrub does not end");
        pair.Await(() => pair.Standby.Statistics.Status.State == StandbyState.Failed, "the standby goes on");

        ScrubStatus scrub = pair.Primary!.Statistics.Status.Scrub;
        Assert.Equal(ScrubState.Ended, scrub.State);
        Assert.Contains(text, scrub.Reason, StringComparison.Ordinal);
        Assert.Contains(text, pair.Standby.Statistics.Status.Reason, StringComparison.Ordinal);
        Assert.Contains("scrub: ended after", $"{pair.PrimaryLog}", StringComparison.Ordinal);
    }

    private static bool Ended(SessionPair pair, int number)
        => pair.Primary!.Statistics.Status.Scrub is { State: not ScrubState.Running } scrub && scrub.Number == number;
}
