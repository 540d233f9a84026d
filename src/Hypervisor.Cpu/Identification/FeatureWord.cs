namespace Hypervisor.Cpu.Identification;

/// <summary>The CPUID registers that hold feature bits, numbered for <see cref="CpuFeatures"/>.</summary>
internal static class FeatureWord
{
    internal const int Leaf1Edx = 0;
    internal const int Leaf1Ecx = 1;
    internal const int Leaf7Ebx = 2;
    internal const int Leaf7Ecx = 3;
    internal const int Leaf7Edx = 4;
    internal const int Extended1Ecx = 5;
    internal const int Extended1Edx = 6;
    internal const int LeafD1Eax = 7;
    internal const int Leaf6Eax = 8;
    internal const int Extended7Edx = 9;
    internal const int Leaf7Sub2Edx = 10;
    internal const int Count = 11;
}
