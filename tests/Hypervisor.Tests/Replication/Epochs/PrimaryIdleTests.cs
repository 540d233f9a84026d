using Xunit;

namespace Hypervisor.Tests.Replication.Epochs;

/// <summary>Output of a guest that has nothing more to do leaves as soon as it can.</summary>
public sealed class PrimaryIdleTests
{
    private const long OutputEpochNanos = 5_000_000;

    [Theory]
    [InlineData(1_000_000, true)]
    [InlineData(999_999, false)] // not in less than a fifth of the time between two cuts of a busy guest
    public void Cut_comes_at_once_when_the_guest_waits_for_what_its_output_brings(long afterNanos, bool isCut)
    {
        RecordedPrimary primary = new RecordedPrimary(outputEpochNanos: OutputEpochNanos).Protect();
        primary.EndEpoch(1);
        primary.Ack(1);
        primary.Now += afterNanos;
        primary.Core.OnOutputWaiting(2, primary.Now);
        Assert.Contains("tell idle 2", primary.Log);
        Assert.DoesNotContain("cut 2", primary.Log);

        primary.Core.OnGuestIdle(2, primary.Now);

        Assert.Equal(isCut, primary.Log.Contains("cut 2"));
    }

    [Fact]
    public void Idle_guest_without_output_is_not_cut()
    {
        RecordedPrimary primary = new RecordedPrimary(outputEpochNanos: OutputEpochNanos).Protect();
        primary.Core.OnOutputWaiting(1, primary.Now);
        primary.EndEpoch(1);
        primary.Ack(1);
        primary.Now += 2_000_000;

        primary.Core.OnGuestIdle(1, primary.Now); // of the epoch that is over

        Assert.DoesNotContain("cut 2", primary.Log);
    }
}
