using Hypervisor.Benchmarks.Takeovers;
using Xunit;

namespace Hypervisor.Tests.Benchmarks;

/// <summary>What the campaign's client finds in a ledger.</summary>
public sealed class LedgerClientTests
{
    private const string Three = "entry 1\nentry 2\nentry 3\n";

    [Theory]
    [InlineData(3, 3)]
    [InlineData(2, 3)]
    public void Ledger_with_all_that_was_answered_and_nothing_that_was_not_sent_is_right(long answered, long sent)
        => Assert.Null(LedgerClient.FindFault(Three, answered, sent));

    [Fact]
    public void Answered_entry_that_is_missing_at_the_end_is_found()
        => Assert.Contains("4 entries were answered", LedgerClient.FindFault(Three, 4, 4));

    [Fact]
    public void Answered_entry_that_is_missing_in_the_middle_is_found()
        => Assert.Contains("line 2", LedgerClient.FindFault("entry 1\nentry 3\n", 3, 3));

    [Fact]
    public void Entry_that_is_there_twice_is_found()
        => Assert.Contains("line 3", LedgerClient.FindFault("entry 1\nentry 2\nentry 2\n", 2, 3));

    [Fact]
    public void Entry_that_nobody_sent_is_found()
        => Assert.Contains("2 entries were sent", LedgerClient.FindFault(Three, 2, 2));
}
