using System;
using Hypervisor.Core;
using Hypervisor.Core.Host;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.Translation;

namespace Hypervisor.Cpu.State;

/// <summary>
/// The one piece of native memory of a vCPU: generated code reaches all of it from one base register.
/// </summary>
/// <remarks>
/// <code>
/// -384    EngineState
///    0    CpuState           what <see cref="State"/>, and the base register, point to
///         x87 exchange       an FXSAVE image
///         LegacyState        what generated code of 16 and 32 bits needs besides
/// 8000    TLB tables         one per TlbMode
///         jump caches        one per mode that code is translated for
///         return caches      likewise
///         known answers      of CPUID
///         far links          direct jumps to other pages
///         jump and return caches of code of 16 and 32 bits
/// </code>
/// </remarks>
internal sealed unsafe class VcpuMemory : IDisposable
{
    /// <summary>Where the TLB tables lie, relative to <see cref="State"/>.</summary>
    internal const int TlbAt = 8192 - EngineState.Bytes;

    /// <summary>Where the jump caches lie, relative to <see cref="State"/>.</summary>
    internal const int JumpsAt = TlbAt + Paging.Tlb.TotalBytes;

    /// <summary>Where the jumps to other pages lie, relative to <see cref="State"/>.</summary>
    internal const int FarLinksAt = AnswersAt + KnownAnswers.TotalBytes;

    /// <summary>Where CPUID's known answers lie, relative to <see cref="State"/>.</summary>
    internal const int AnswersAt = ReturnsAt + ReturnCache.TotalBytes;

    /// <summary>Where the return caches lie, relative to <see cref="State"/>.</summary>
    internal const int ReturnsAt = JumpsAt + JumpCache.TotalBytes;

    /// <summary>Size of the FXSAVE image that x87 registers travel in.</summary>
    internal const int ExchangeBytes = 512;

    /// <summary>Where the jump caches of code of 16 and 32 bits lie, relative to <see cref="State"/>.</summary>
    internal const int LegacyJumpsAt = FarLinksAt + (FarLink.CountMax * FarLink.Bytes);

    /// <summary>Where the return caches of code of 16 and 32 bits lie, relative to <see cref="State"/>.</summary>
    internal const int LegacyReturnsAt = LegacyJumpsAt + JumpCache.TotalBytes;

    /// <summary>Size of all.</summary>
    internal const int AllBytes = EngineState.Bytes + LegacyReturnsAt + ReturnCache.TotalBytes;

    private readonly byte* _start;

    internal VcpuMemory()
    {
        _start = HostMemory.MapPrivateMemory(AllBytes);
        State = (CpuState*)(_start + EngineState.Bytes);
        Check.That(sizeof(EngineState) == EngineState.Bytes && sizeof(FarLink) == FarLink.Bytes
            && sizeof(CpuState) + ExchangeBytes + sizeof(LegacyState) <= TlbAt);
        Check.That(((ulong)State->Vectors & 63) == 0 && ((ulong)Exchange & 15) == 0); // stubs move whole vectors
        Answers = new KnownAnswers((byte*)State + AnswersAt);
        Jumps = new JumpCache((byte*)State + JumpsAt, Engine->JumpEpochs, (byte*)State + ReturnsAt);
        LegacyJumps = new JumpCache(
            (byte*)State + LegacyJumpsAt, Legacy->JumpEpochs, (byte*)State + LegacyReturnsAt, isLegacy: true);
    }

    /// <summary>The registers.</summary>
    internal CpuState* State { get; }

    /// <summary>What generated code keeps for itself.</summary>
    internal EngineState* Engine => (EngineState*)_start;

    /// <summary>Where the x87 registers lie on their way, as FXSAVE lays them out. 16-byte aligned.</summary>
    internal byte* Exchange => (byte*)(State + 1);

    /// <summary>What generated code of 16 and 32 bits needs besides.</summary>
    internal LegacyState* Legacy => (LegacyState*)(Exchange + ExchangeBytes);

    /// <summary>Direct jumps to other pages.</summary>
    internal FarLink* FarLinks => (FarLink*)((byte*)State + FarLinksAt);

    /// <summary>The TLB tables.</summary>
    internal byte* Tlb => (byte*)State + TlbAt;

    /// <summary>Known answers of CPUID.</summary>
    internal KnownAnswers Answers { get; }

    /// <summary>Known jump targets.</summary>
    internal JumpCache Jumps { get; }

    /// <summary>Known jump targets in code of 16 and 32 bits.</summary>
    internal JumpCache LegacyJumps { get; }

    /// <inheritdoc/>
    public void Dispose() => HostMemory.Unmap(_start, AllBytes);
}
