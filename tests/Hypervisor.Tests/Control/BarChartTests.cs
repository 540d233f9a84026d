using Hypervisor.Control;
using Xunit;

namespace Hypervisor.Tests.Control;

public sealed class BarChartTests
{
    [Fact]
    public void Columns_are_as_high_as_their_numbers_in_eighths_of_a_row()
        => Assert.Equal(["    ▄█", "  ▄███"], BarChart.Columns([0, 0, 4, 8, 12, 16], 2));

    [Fact]
    public void Number_above_0_is_seen_beside_a_large_one()
    {
        Assert.Equal(["█ ", "█▁"], BarChart.Columns([1_000_000, 1], 2));
        Assert.Equal("█", BarChart.Row(1, 1_000_000, 40));
    }

    [Fact]
    public void Nothing_is_flat()
    {
        Assert.Equal(["   ", "   "], BarChart.Columns([0, 0, 0], 2));
        Assert.Equal(["", ""], BarChart.Columns([], 2));
        Assert.Equal("", BarChart.Row(0, 0, 40));
    }
}
