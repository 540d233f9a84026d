using System;
using Hypervisor.Core.State;
using Hypervisor.Replication.Failover;
using Xunit;

namespace Hypervisor.Tests.Replication.Failover;

/// <summary>The witness record on disk, and the arithmetic of the lease.</summary>
public sealed class WitnessRecordTests
{
    private static readonly WitnessRecord s_record = new(
        Guid.NewGuid(), 7, 3, Guid.NewGuid(), Guid.NewGuid(), 99, true, 2, WitnessPhase.Running);

    [Fact]
    public void Record_comes_back_as_it_was_written()
    {
        byte[] bytes = new byte[WitnessRecord.Bytes];
        s_record.Write(bytes);

        Assert.Equal(s_record, WitnessRecord.Read(bytes));
    }

    [Fact]
    public void Record_with_any_bit_flipped_or_any_byte_missing_is_refused()
    {
        byte[] bytes = new byte[WitnessRecord.Bytes];
        s_record.Write(bytes);

        for (int bit = 0; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Throws<StateFormatException>(() => WitnessRecord.Read(bytes));
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        }

        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.Throws<StateFormatException>(() => WitnessRecord.Read(bytes.AsSpan(0, length)));
        }
    }

    [Fact]
    public void Rule_26_lease_ends_before_the_takeover_timeout_also_when_clocks_drift()
    {
        const long Takeover = 1_000_000_000;
        long lease = Lease.LongestNanos(Takeover);
        Lease held = default;
        held.Extend(500, lease);

        Assert.True(lease < Takeover);
        Assert.True(held.IsValid(499 + lease));
        Assert.False(held.IsValid(500 + lease));
    }
}
