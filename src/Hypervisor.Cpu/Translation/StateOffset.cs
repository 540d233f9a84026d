using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Translation;

/// <summary>Where generated code finds the fields of <see cref="CpuState"/>: byte offsets.</summary>
internal static unsafe class StateOffset
{
    internal static readonly int Rflags = (int)&((CpuState*)0)->Rflags;
    internal static readonly int LazyShift = (int)&((CpuState*)0)->LazyShift;
    internal static readonly int Mxcsr = (int)&((CpuState*)0)->Mxcsr;
    internal static readonly int Fpu = (int)((CpuState*)0)->Fpu;

    /// <summary>MXCSR in the FXSAVE image.</summary>
    internal static readonly int FpuMxcsr = Fpu + 24;

    /// <summary>Second half of the scratch buffer: memory accesses use the first only.</summary>
    internal static readonly int StubScratch = (int)((CpuState*)0)->Scratch + 64;

    private static readonly int s_vectors = (int)((CpuState*)0)->Vectors;

    internal static int Gpr(int register) => register * 8;

    internal static int Vector(int register) => s_vectors + (register * 64);
}
