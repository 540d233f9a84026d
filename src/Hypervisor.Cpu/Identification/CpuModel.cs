using System;
using System.Collections.Generic;
using static Hypervisor.Cpu.Identification.CpuFeature;

namespace Hypervisor.Cpu.Identification;

/// <summary>A CPU by name: a level of the x86-64 psABI, and what this product adds to every level.</summary>
/// <remarks>Spec: x86-64 psABI, section 3.1.1, table 3.1.</remarks>
public sealed class CpuModel
{
    // What this product does by itself, whatever the host is.
    private static readonly CpuFeatures s_system = new([
        Fpu, Vme, DebuggingExtensions, PageSizeExtensions, TimeStampCounter, Msr, PhysicalAddressExtension,
        MachineCheckException, Cmpxchg8B, Apic, Sysenter, Mtrr, PageGlobalEnable, MachineCheckArchitecture, Cmov, Pat,
        Pse36, Clflush, Cmpxchg16B, Pcid, X2Apic, TscDeadline, Rdrand, HypervisorPresent, FsGsBase, TscAdjust,
        Smep, Erms, Invpcid, Rdseed, Smap, Clflushopt, Umip, Rdpid, Fsrm, ArchCapabilities, LahfSahf64, Prefetchw,
        Syscall, NoExecute, GigabytePages, Rdtscp, LongMode, AlwaysRunningApicTimer, InvariantTsc, Monitor,
        SpeculationControl, BranchHistoryControl, FdpExceptionOnly,
    ]);

    private static readonly CpuFeatures s_level1 = new([Mmx, Fxsr, Sse, Sse2]);

    private static readonly CpuFeatures s_level2
        = s_level1.Union(new CpuFeatures([Sse3, Ssse3, Sse41, Sse42, Popcnt]));

    private static readonly CpuFeatures s_level3 = s_level2.Union(new CpuFeatures([
        Xsave, Avx, Avx2, Bmi1, Bmi2, F16c, Fma, Lzcnt, Movbe,
    ]));

    private static readonly CpuFeatures s_level4
        = s_level3.Union(new CpuFeatures([Avx512F, Avx512Bw, Avx512Cd, Avx512Dq, Avx512Vl]));

    // Beside the level, taken when the host has them. A pair of hosts compares the resulting sets.
    private static readonly CpuFeatures s_optional3 = new([Aes, Pclmulqdq, Sha, Adx, Xsaveopt, Xsavec, Xgetbv1]);

    private static readonly CpuFeatures s_optional4 = s_optional3.Union(new CpuFeatures([
        Avx512Ifma, Avx512Vbmi, Avx512Vbmi2, Avx512Vnni, Avx512Bitalg, Avx512Vpopcntdq, Gfni, Vaes, Vpclmulqdq,
    ]));

    private static readonly CpuModel[] s_models =
    [
        new("x86-64-v1", s_level1, new CpuFeatures([])),
        new("x86-64-v2", s_level2, new CpuFeatures([Aes, Pclmulqdq])),
        new("x86-64-v3", s_level3, s_optional3),
        new("x86-64-v4", s_level4, s_optional4),
    ];

    private readonly CpuFeatures _required;

    private CpuModel(string name, CpuFeatures required, CpuFeatures optional)
    {
        Name = name;
        _required = required;
        Features = s_system.Union(required).Union(optional.Intersect(CpuFeatures.Host));
    }

    /// <summary>Every model, the smallest first.</summary>
    public static IReadOnlyList<CpuModel> All => s_models;

    /// <summary>The largest model that this host can run.</summary>
    public static CpuModel Largest => Array.FindLast(s_models, model => model.IsSupported) ?? s_models[0];

    /// <summary>
    /// The largest model that this host can run and that has no AVX-512: not every peer has that, and a guest that uses
    /// it has four times as much state to move at each exit.
    /// </summary>
    public static CpuModel Default
        => Array.FindLast(s_models, model => model.IsSupported && !model.Features.Has(Avx512F)) ?? s_models[0];

    /// <summary>Name as on the command line.</summary>
    public string Name { get; }

    /// <summary>What CPUID reports on this host.</summary>
    public CpuFeatures Features { get; }

    /// <summary>Whether the host can execute what the guest may use.</summary>
    public bool IsSupported => CpuFeatures.Host.HasAll(_required);

    /// <summary>What the guest may use and the host cannot execute.</summary>
    public IEnumerable<CpuFeature> Lacking
        => Array.FindAll(
            Enum.GetValues<CpuFeature>(), feature => _required.Has(feature) && !CpuFeatures.Host.Has(feature));

    /// <summary>The model called <paramref name="name"/>, or null.</summary>
    public static CpuModel? Find(string name) => Array.Find(s_models, model => model.Name == name);

    /// <summary>The model called <paramref name="name"/>, which the caller checked to exist.</summary>
    public static CpuModel Named(string name)
    {
        CpuModel? model = Find(name);
        Core.Check.That(model is not null);
        return model;
    }
}
