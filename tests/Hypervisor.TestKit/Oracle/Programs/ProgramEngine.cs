using System.Collections.Generic;
using Hypervisor.Core.Memory;
using Hypervisor.Core.Time;
using Hypervisor.Cpu;
using Hypervisor.Cpu.Identification;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>Makes the vCPU whose engine is tested.</summary>
public delegate Vcpu VcpuFactory(GuestRam ram, IBus bus, GuestTimers timers);

/// <summary>The engines that a campaign can compare: one name and one factory each.</summary>
public static class ProgramEngine
{
    // Some dozens of blocks: less than one program has.
    private const long SmallCacheBytes = 512 << 10;

    /// <summary>The names that <see cref="Find"/> knows.</summary>
    public static IReadOnlyList<string> Names { get; } =
        ["interpreter", "translator", "translator-without-loop", "translator-with-small-cache"];

    /// <summary>The factory of an engine; null: there is none of this name.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <param name="model">What the vCPU is; null: the largest model that the host can run.</param>
    public static VcpuFactory? Find(string name, CpuModel? model = null)
    {
        CpuModel chosen = model ?? CpuModel.Largest;
        return name switch
        {
            "interpreter" => (ram, bus, timers) => new Vcpu(0, ram, bus, timers, VcpuConfig.Alone(chosen)),
            "translator" => (ram, bus, timers) => new Vcpu(0, ram, bus, timers, Translating(chosen)),
            "translator-without-loop"
                => (ram, bus, timers) => new Vcpu(0, ram, bus, timers, Translating(chosen, usesLoop: false)),
            "translator-with-small-cache" => (ram, bus, timers)
                => new Vcpu(0, ram, bus, timers, Translating(chosen, codeBytes: SmallCacheBytes)),
            _ => null,
        };
    }

    // Code is translated after a few runs only, so that both engines and the ways between them are in every program.
    private static VcpuConfig Translating(CpuModel model, bool usesLoop = true, long codeBytes = 32L << 20)
        => VcpuConfig.Alone(model, ExecutionEngine.Translator, hitsBeforeTranslation: 3, usesLoop, codeBytes);
}
