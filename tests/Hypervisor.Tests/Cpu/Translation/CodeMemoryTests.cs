using Hypervisor.Cpu.Translation;
using Xunit;

namespace Hypervisor.Tests.Cpu.Translation;

public sealed unsafe class CodeMemoryTests
{
    private const int Bytes = 4096;

    [Fact]
    public void Code_written_through_one_view_runs_through_the_other()
    {
        using var memory = new CodeMemory(Bytes);

        byte* entry = memory.Add([0x8D, 0x47, 0x01, 0xC3]); // lea eax,[rdi+1]; ret

        Assert.Equal(42, ((delegate* unmanaged<int, int>)entry)(41));
    }

    [Fact]
    public void Full_memory_refuses_and_clearing_makes_room()
    {
        using var memory = new CodeMemory(Bytes);
        Assert.True(memory.Add(new byte[Bytes - 8]) != null);

        Assert.True(memory.Add([0xC3]) == null);
        memory.Clear();

        Assert.True(memory.Add([0xC3]) != null);
    }
}
