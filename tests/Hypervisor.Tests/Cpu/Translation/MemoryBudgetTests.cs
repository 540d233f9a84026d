using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Hypervisor.Cpu.Translation;
using Hypervisor.Machine;
using Xunit;

namespace Hypervisor.Tests.Cpu.Translation;

/// <summary>Generated code and all tables of a vCPU, besides those that grow with the guest's RAM.</summary>
public sealed class MemoryBudgetTests
{
    [Fact]
    public void Default_is_at_most_256_mebibytes()
    {
        long bytes = TranslationCache.TotalBytes(MachineConfig.CodeCacheBytesDefault) + VcpuMemory.AllBytes
            + BlockCache.ArenaBytes(isBesideTranslator: true) + HostStubs.CodeBytes;

        Assert.InRange(bytes, 1, 256L << 20);
    }
}
