namespace Hypervisor.Cpu.Identification;

/// <summary>A feature that CPUID reports: its <see cref="FeatureWord"/> × 32 + its bit there.</summary>
/// <remarks>Spec: SDM volume 2, CPUID; AMD64 volume 3, appendix E for leaf 8000_0001H.</remarks>
public enum CpuFeature
{
#pragma warning disable CS1591 // The names are the SDM's; a sentence each would only repeat its tables.
    // Leaf 1, EDX
    Fpu = (FeatureWord.Leaf1Edx * 32) + 0,
    Vme = (FeatureWord.Leaf1Edx * 32) + 1,
    DebuggingExtensions = (FeatureWord.Leaf1Edx * 32) + 2,
    PageSizeExtensions = (FeatureWord.Leaf1Edx * 32) + 3,
    TimeStampCounter = (FeatureWord.Leaf1Edx * 32) + 4,
    Msr = (FeatureWord.Leaf1Edx * 32) + 5,
    PhysicalAddressExtension = (FeatureWord.Leaf1Edx * 32) + 6,
    MachineCheckException = (FeatureWord.Leaf1Edx * 32) + 7,
    Cmpxchg8B = (FeatureWord.Leaf1Edx * 32) + 8,
    Apic = (FeatureWord.Leaf1Edx * 32) + 9,
    Sysenter = (FeatureWord.Leaf1Edx * 32) + 11,
    Mtrr = (FeatureWord.Leaf1Edx * 32) + 12,
    PageGlobalEnable = (FeatureWord.Leaf1Edx * 32) + 13,
    MachineCheckArchitecture = (FeatureWord.Leaf1Edx * 32) + 14,
    Cmov = (FeatureWord.Leaf1Edx * 32) + 15,
    Pat = (FeatureWord.Leaf1Edx * 32) + 16,
    Pse36 = (FeatureWord.Leaf1Edx * 32) + 17,
    Clflush = (FeatureWord.Leaf1Edx * 32) + 19,
    Mmx = (FeatureWord.Leaf1Edx * 32) + 23,
    Fxsr = (FeatureWord.Leaf1Edx * 32) + 24,
    Sse = (FeatureWord.Leaf1Edx * 32) + 25,
    Sse2 = (FeatureWord.Leaf1Edx * 32) + 26,

    // Leaf 1, ECX
    Sse3 = (FeatureWord.Leaf1Ecx * 32) + 0,
    Pclmulqdq = (FeatureWord.Leaf1Ecx * 32) + 1,
    Monitor = (FeatureWord.Leaf1Ecx * 32) + 3,
    Ssse3 = (FeatureWord.Leaf1Ecx * 32) + 9,
    Fma = (FeatureWord.Leaf1Ecx * 32) + 12,
    Cmpxchg16B = (FeatureWord.Leaf1Ecx * 32) + 13,
    Pcid = (FeatureWord.Leaf1Ecx * 32) + 17,
    Sse41 = (FeatureWord.Leaf1Ecx * 32) + 19,
    Sse42 = (FeatureWord.Leaf1Ecx * 32) + 20,
    X2Apic = (FeatureWord.Leaf1Ecx * 32) + 21,
    Movbe = (FeatureWord.Leaf1Ecx * 32) + 22,
    Popcnt = (FeatureWord.Leaf1Ecx * 32) + 23,
    TscDeadline = (FeatureWord.Leaf1Ecx * 32) + 24,
    Aes = (FeatureWord.Leaf1Ecx * 32) + 25,
    Xsave = (FeatureWord.Leaf1Ecx * 32) + 26,
    Avx = (FeatureWord.Leaf1Ecx * 32) + 28,
    F16c = (FeatureWord.Leaf1Ecx * 32) + 29,
    Rdrand = (FeatureWord.Leaf1Ecx * 32) + 30,
    HypervisorPresent = (FeatureWord.Leaf1Ecx * 32) + 31,

    // Leaf 7 subleaf 0, EBX
    FsGsBase = (FeatureWord.Leaf7Ebx * 32) + 0,
    TscAdjust = (FeatureWord.Leaf7Ebx * 32) + 1,
    Bmi1 = (FeatureWord.Leaf7Ebx * 32) + 3,
    Avx2 = (FeatureWord.Leaf7Ebx * 32) + 5,
    FdpExceptionOnly = (FeatureWord.Leaf7Ebx * 32) + 6,
    Smep = (FeatureWord.Leaf7Ebx * 32) + 7,
    Bmi2 = (FeatureWord.Leaf7Ebx * 32) + 8,
    Erms = (FeatureWord.Leaf7Ebx * 32) + 9,
    Invpcid = (FeatureWord.Leaf7Ebx * 32) + 10,
    Avx512F = (FeatureWord.Leaf7Ebx * 32) + 16,
    Avx512Dq = (FeatureWord.Leaf7Ebx * 32) + 17,
    Rdseed = (FeatureWord.Leaf7Ebx * 32) + 18,
    Adx = (FeatureWord.Leaf7Ebx * 32) + 19,
    Smap = (FeatureWord.Leaf7Ebx * 32) + 20,
    Avx512Ifma = (FeatureWord.Leaf7Ebx * 32) + 21,
    Clflushopt = (FeatureWord.Leaf7Ebx * 32) + 23,
    Avx512Cd = (FeatureWord.Leaf7Ebx * 32) + 28,
    Sha = (FeatureWord.Leaf7Ebx * 32) + 29,
    Avx512Bw = (FeatureWord.Leaf7Ebx * 32) + 30,
    Avx512Vl = (FeatureWord.Leaf7Ebx * 32) + 31,

    // Leaf 7 subleaf 0, ECX
    Avx512Vbmi = (FeatureWord.Leaf7Ecx * 32) + 1,
    Umip = (FeatureWord.Leaf7Ecx * 32) + 2,
    Avx512Vbmi2 = (FeatureWord.Leaf7Ecx * 32) + 6,
    Gfni = (FeatureWord.Leaf7Ecx * 32) + 8,
    Vaes = (FeatureWord.Leaf7Ecx * 32) + 9,
    Vpclmulqdq = (FeatureWord.Leaf7Ecx * 32) + 10,
    Avx512Vnni = (FeatureWord.Leaf7Ecx * 32) + 11,
    Avx512Bitalg = (FeatureWord.Leaf7Ecx * 32) + 12,
    Avx512Vpopcntdq = (FeatureWord.Leaf7Ecx * 32) + 14,
    Rdpid = (FeatureWord.Leaf7Ecx * 32) + 22,

    // Leaf 7 subleaf 0, EDX
    Fsrm = (FeatureWord.Leaf7Edx * 32) + 4,
    SpeculationControl = (FeatureWord.Leaf7Edx * 32) + 26,
    ArchCapabilities = (FeatureWord.Leaf7Edx * 32) + 29,

    // Leaf 8000_0001H, ECX
    LahfSahf64 = (FeatureWord.Extended1Ecx * 32) + 0,
    Lzcnt = (FeatureWord.Extended1Ecx * 32) + 5,
    Prefetchw = (FeatureWord.Extended1Ecx * 32) + 8,

    // Leaf 8000_0001H, EDX
    Syscall = (FeatureWord.Extended1Edx * 32) + 11,
    NoExecute = (FeatureWord.Extended1Edx * 32) + 20,
    GigabytePages = (FeatureWord.Extended1Edx * 32) + 26,
    Rdtscp = (FeatureWord.Extended1Edx * 32) + 27,
    LongMode = (FeatureWord.Extended1Edx * 32) + 29,

    // Leaf 0DH subleaf 1, EAX
    Xsaveopt = (FeatureWord.LeafD1Eax * 32) + 0,
    Xsavec = (FeatureWord.LeafD1Eax * 32) + 1,
    Xgetbv1 = (FeatureWord.LeafD1Eax * 32) + 2,

    // Leaf 6, EAX
    AlwaysRunningApicTimer = (FeatureWord.Leaf6Eax * 32) + 2,

    // Leaf 7 subleaf 2, EDX
    BranchHistoryControl = (FeatureWord.Leaf7Sub2Edx * 32) + 4,

    // Leaf 8000_0007H, EDX
    InvariantTsc = (FeatureWord.Extended7Edx * 32) + 8,
#pragma warning restore CS1591
}
