using System;
using System.Runtime.InteropServices;
using Hypervisor.Core;
using Hypervisor.Cpu.Translation;

namespace Hypervisor.Cpu.State;

/// <summary>The one piece of native memory of a vCPU: generated code reaches all of it from one base register.</summary>
/// <remarks>
/// <code>
/// -128    EngineState
///    0    CpuState           what <see cref="State"/>, and the base register, point to
/// 3968    TLB tables         one per TlbMode
///         jump caches        one per mode that code is translated for
/// </code>
/// </remarks>
internal sealed unsafe class VcpuMemory : IDisposable
{
    /// <summary>Where the TLB tables lie, relative to <see cref="State"/>.</summary>
    internal const int TlbAt = 4096 - EngineState.Bytes;

    /// <summary>Where the jump caches lie, relative to <see cref="State"/>.</summary>
    internal const int JumpsAt = TlbAt + Paging.Tlb.TotalBytes;

    private readonly byte* _start;

    internal VcpuMemory()
    {
        int bytes = EngineState.Bytes + JumpsAt + JumpCache.TotalBytes;
        _start = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, 4096);
        NativeMemory.Clear(_start, (nuint)bytes);
        State = (CpuState*)(_start + EngineState.Bytes);
        Check.That(sizeof(EngineState) == EngineState.Bytes && sizeof(CpuState) <= TlbAt);
        Check.That(((ulong)State->Vectors & 63) == 0); // stubs use aligned vector moves
        Jumps = new JumpCache((byte*)State + JumpsAt);
    }

    /// <summary>The registers.</summary>
    internal CpuState* State { get; }

    /// <summary>What generated code keeps for itself.</summary>
    internal EngineState* Engine => (EngineState*)_start;

    /// <summary>The TLB tables.</summary>
    internal byte* Tlb => (byte*)State + TlbAt;

    /// <summary>Known jump targets.</summary>
    internal JumpCache Jumps { get; }

    /// <inheritdoc/>
    public void Dispose() => NativeMemory.AlignedFree(_start);
}
