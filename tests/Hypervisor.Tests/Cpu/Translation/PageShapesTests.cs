using Hypervisor.Cpu.Translation;
using Xunit;

namespace Hypervisor.Tests.Cpu.Translation;

public sealed class PageShapesTests
{
    private readonly PageShapes _shapes = new();

    [Fact]
    public void Shape_keeps_its_number()
    {
        Assert.True(_shapes.TryFind(0x100, 4096, out int first));
        Assert.True(_shapes.TryFind(0, 0x100, out int second));
        Assert.True(_shapes.TryFind(0x100, 4096, out int again));

        Assert.Equal(first, again);
        Assert.NotEqual(first, second);
        Assert.Equal((0x100, 4096), _shapes[first]);
    }

    [Fact]
    public void Whole_page_has_number_0_always()
    {
        Fill();
        Assert.True(_shapes.TryFind(0, 4096, out int whole));
        Assert.Equal(0, whole);
    }

    [Fact]
    public void One_too_many_is_refused_until_they_are_forgotten()
    {
        Fill();
        Assert.False(_shapes.TryFind(1, 4096, out _));

        _shapes.Clear();

        Assert.True(_shapes.TryFind(1, 4096, out _));
    }

    private void Fill()
    {
        for (int i = 1; i < PageShapes.CountMax; i++)
        {
            Assert.True(_shapes.TryFind(16 * i, 4096, out _));
        }
    }
}
