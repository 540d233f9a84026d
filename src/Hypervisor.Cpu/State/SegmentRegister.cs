namespace Hypervisor.Cpu.State;

/// <summary>Index into <see cref="CpuState.Segments"/>; the first six in the encoding's order.</summary>
internal static class SegmentRegister
{
    internal const int Es = 0;
    internal const int Cs = 1;
    internal const int Ss = 2;
    internal const int Ds = 3;
    internal const int Fs = 4;
    internal const int Gs = 5;
    internal const int Ldtr = 6;
    internal const int Tr = 7;
    internal const int Count = 8;
}
