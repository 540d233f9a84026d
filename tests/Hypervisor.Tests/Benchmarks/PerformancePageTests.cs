using Hypervisor.Benchmarks;
using Xunit;

namespace Hypervisor.Tests.Benchmarks;

public sealed class PerformancePageTests
{
    [Fact]
    public void A_section_is_added_behind_the_others()
        => Assert.Equal("# T\n\n## A\n\n1\n\n## B\n\n2\n", PerformancePage.Merge("# T\n\n## A\n\n1\n", "## B\n\n2"));

    [Fact]
    public void A_section_replaces_the_one_of_its_heading_and_no_other()
        => Assert.Equal(
            "# T\n\n## A\n\nnew\n\n### Deeper\n\n3\n\n## B\n\n2\n",
            PerformancePage.Merge(
                "# T\n\n## A\n\n1\n\n### Old\n\n0\n\n## B\n\n2\n", "## A\n\nnew\n\n### Deeper\n\n3\n"));

    [Fact]
    public void The_same_section_twice_changes_nothing()
    {
        string once = PerformancePage.Merge("# T", "## A\n\n1");

        Assert.Equal("# T\n\n## A\n\n1\n", once);
        Assert.Equal(once, PerformancePage.Merge(once, "## A\n\n1"));
    }
}
