using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Translation;

/// <summary>Where generated code finds the fields of <see cref="CpuState"/>: byte offsets.</summary>
internal static unsafe class StateOffset
{
    internal static readonly int Rflags;
    internal static readonly int LazyShift;
    internal static readonly int Mxcsr;
    internal static readonly int Fpu;

    /// <summary>MXCSR in the FXSAVE image.</summary>
    internal static readonly int FpuMxcsr;

    /// <summary>Second half of the scratch buffer: memory accesses use the first only.</summary>
    internal static readonly int StubScratch;

    private static readonly int s_vectors;

    // Measured on a real instance: taking addresses in a null one makes the JIT insert a null check.
    static StateOffset()
    {
        var state = default(CpuState);
        byte* start = (byte*)&state;
        Rflags = (int)((byte*)&state.Rflags - start);
        LazyShift = (int)((byte*)&state.LazyShift - start);
        Mxcsr = (int)((byte*)&state.Mxcsr - start);
        Fpu = (int)(state.Fpu - start);
        FpuMxcsr = Fpu + 24;
        StubScratch = (int)(state.Scratch - start) + 64;
        s_vectors = (int)(state.Vectors - start);
    }

    internal static int Gpr(int register) => register * 8;

    internal static int Vector(int register) => s_vectors + (register * 64);
}
