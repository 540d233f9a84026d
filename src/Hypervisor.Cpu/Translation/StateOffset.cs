using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Translation;

/// <summary>Where generated code finds the fields of <see cref="CpuState"/>: byte offsets.</summary>
internal static unsafe class StateOffset
{
    internal static readonly int Rip;
    internal static readonly int Rflags;
    internal static readonly int LazyShift;
    internal static readonly int Events;
    internal static readonly int KernelGsBase;

    /// <summary>The pointer to the TLB that accesses use now.</summary>
    internal static readonly int CurrentTlb;
    internal static readonly int Mxcsr;
    internal static readonly int Fpu;

    /// <summary>MXCSR in the FXSAVE image.</summary>
    internal static readonly int FpuMxcsr;

    /// <summary>Second half of the scratch buffer: memory accesses use the first only.</summary>
    internal static readonly int StubScratch;

    // EngineState: below the registers.
    internal static readonly int CodeBase;
    internal static readonly int PageBits;
    internal static readonly int SavedRax;
    internal static readonly int SavedTarget;
    internal static readonly int SavedCode;
    internal static readonly int TlbSlotBits;
    internal static readonly int JumpSlotBits;
    internal static readonly int ReturnSlotBits;
    internal static readonly int DirectionBit;
    internal static readonly int SecondHitsBits;
    internal static readonly int SecondHits;
    internal static readonly int AccessAlignmentBits;
    internal static readonly int AccessSizeBits;
    internal static readonly int AccessWriteBit;
    internal static readonly int Aligned16Bits;
    internal static readonly int Aligned32Bits;
    internal static readonly int Aligned64Bits;
    internal static readonly int AccessFunction;
    internal static readonly int ExitRip;
    internal static readonly int ExitReason;
    internal static readonly int ExitArgument;
    internal static readonly int PackedFlags;
    internal static readonly int HostMxcsr;
    internal static readonly int IsFpuParked;
    internal static readonly int IsWideParked;
    internal static readonly int MayHaveInterrupt;
    internal static readonly int InstructionCount;
    internal static readonly int Uncounted;
    internal static readonly int MxcsrMaskBits;
    internal static readonly int MxcsrReservedBits;
    internal static readonly int AnswerSlotBits;

    // LegacyState: behind the exchange area.
    internal static readonly int CodeKey;
    internal static readonly int MinusCodeBase;
    internal static readonly int SavedPointer;
    internal static readonly int SignBit;
    internal static readonly int HighHalf;

    /// <summary>How many addends of checked pages the state can keep.</summary>
    internal const int AddendSlots = EngineState.AddendSlots;

    /// <summary>Behind the registers, see <see cref="VcpuMemory.Exchange"/>.</summary>
    internal static readonly int Exchange = sizeof(CpuState);

    private static readonly int s_addends;
    private static readonly int s_jumpEpochs;
    private static readonly int s_vectors;
    private static readonly int s_segments;
    private static readonly int s_masks;
    private static readonly int s_selectorAt;
    private static readonly int s_readLimits;
    private static readonly int s_writeLimits;
    private static readonly int s_legacyEpochs;

    // Measured on a real instance: taking addresses in a null one makes the JIT insert a null check.
    static StateOffset()
    {
        var state = default(CpuState);
        byte* start = (byte*)&state;
        Rip = (int)((byte*)&state.Rip - start);
        Events = (int)((byte*)&state.Events - start);
        CurrentTlb = (int)((byte*)&state.Tlb - start);
        KernelGsBase = (int)((byte*)&state.KernelGsBase - start);
        Rflags = (int)((byte*)&state.Rflags - start);
        LazyShift = (int)((byte*)&state.LazyShift - start);
        Mxcsr = (int)((byte*)&state.Mxcsr - start);
        Fpu = (int)(state.Fpu - start);
        FpuMxcsr = Fpu + 24;
        StubScratch = (int)(state.Scratch - start) + 64;
        s_vectors = (int)(state.Vectors - start);
        s_masks = (int)((byte*)state.Masks - start);
        s_segments = (int)((byte*)&state.Segments - start);

        var engine = default(EngineState);
        byte* below = (byte*)&engine + EngineState.Bytes;
        CodeBase = (int)((byte*)&engine.CodeBase - below);
        PageBits = (int)((byte*)&engine.PageBits - below);
        SavedRax = (int)((byte*)&engine.SavedRax - below);
        SavedTarget = (int)((byte*)&engine.SavedTarget - below);
        SavedCode = (int)((byte*)&engine.SavedCode - below);
        TlbSlotBits = (int)((byte*)&engine.TlbSlotBits - below);
        JumpSlotBits = (int)((byte*)&engine.JumpSlotBits - below);
        ReturnSlotBits = (int)((byte*)&engine.ReturnSlotBits - below);
        DirectionBit = (int)((byte*)&engine.DirectionBit - below);
        AccessWriteBit = (int)((byte*)&engine.AccessWriteBit - below);
        AccessSizeBits = (int)((byte*)&engine.AccessSizeBits - below);
        AccessAlignmentBits = (int)((byte*)&engine.AccessAlignmentBits - below);
        SecondHits = (int)((byte*)&engine.SecondHits - below);
        SecondHitsBits = (int)((byte*)&engine.SecondHitsBits - below);
        Aligned16Bits = (int)((byte*)&engine.Aligned16Bits - below);
        Aligned32Bits = (int)((byte*)&engine.Aligned32Bits - below);
        Aligned64Bits = (int)((byte*)&engine.Aligned64Bits - below);
        IsWideParked = (int)((byte*)&engine.IsWideParked - below);
        AccessFunction = (int)((byte*)&engine.AccessFunction - below);
        ExitRip = (int)((byte*)&engine.ExitRip - below);
        ExitReason = (int)((byte*)&engine.ExitReason - below);
        ExitArgument = (int)((byte*)&engine.ExitArgument - below);
        PackedFlags = (int)((byte*)&engine.PackedFlags - below);
        InstructionCount = (int)((byte*)&engine.InstructionCount - below);
        Uncounted = (int)((byte*)&engine.Uncounted - below);
        MayHaveInterrupt = (int)((byte*)&engine.MayHaveInterrupt - below);
        MxcsrMaskBits = (int)((byte*)&engine.MxcsrMaskBits - below);
        MxcsrReservedBits = (int)((byte*)&engine.MxcsrReservedBits - below);
        AnswerSlotBits = (int)((byte*)&engine.AnswerSlotBits - below);
        IsFpuParked = (int)((byte*)&engine.IsFpuParked - below);
        HostMxcsr = (int)((byte*)&engine.HostMxcsr - below);
        s_jumpEpochs = (int)((byte*)engine.JumpEpochs - below);
        s_addends = (int)((byte*)engine.Addends - below);

        var segment = default(Segment);
        s_selectorAt = (int)((byte*)&segment.Selector - (byte*)&segment);
        var legacy = default(LegacyState);
        byte* behind = (byte*)&legacy - (sizeof(CpuState) + VcpuMemory.ExchangeBytes);
        CodeKey = (int)((byte*)&legacy.CodeKey - behind);
        MinusCodeBase = (int)((byte*)&legacy.MinusCodeBase - behind);
        SavedPointer = (int)((byte*)&legacy.SavedPointer - behind);
        SignBit = (int)((byte*)&legacy.SignBit - behind);
        HighHalf = (int)((byte*)&legacy.HighHalf - behind);
        s_readLimits = (int)((byte*)legacy.ReadLimits - behind);
        s_writeLimits = (int)((byte*)legacy.WriteLimits - behind);
        s_legacyEpochs = (int)((byte*)legacy.JumpEpochs - behind);
    }

    internal static int Gpr(int register) => register * 8;

    /// <summary>Where a checked page's host minus linear address is kept.</summary>
    internal static int Addend(int slot) => s_addends + (slot * sizeof(ulong));

    internal static int Vector(int register) => s_vectors + (register * 64);

    /// <summary>A mask register.</summary>
    internal static int Mask(int register) => s_masks + (register * sizeof(ulong));

    /// <summary>Base of a segment register: its first field.</summary>
    internal static int SegmentBase(int segment) => s_segments + (segment * sizeof(Segment));

    /// <summary>First slot of a TLB array, see <see cref="Paging.TlbEntry"/>.</summary>
    internal static int Tlb(int mode, int array) => VcpuMemory.TlbAt + (mode * Paging.TlbEntry.TableBytes) + array;

    /// <summary>First tag of a jump cache; the code pointers follow.</summary>
    internal static int Jumps(int set)
        => InSet(set, VcpuMemory.JumpsAt, VcpuMemory.LegacyJumpsAt, JumpCache.TableBytes);

    /// <summary>See <see cref="EngineState.JumpEpochs"/>.</summary>
    internal static int JumpEpoch(int set) => InSet(set, s_jumpEpochs, s_legacyEpochs, sizeof(ulong));

    /// <summary>See <see cref="FarLink"/>.</summary>
    internal static int FarLink(int number) => VcpuMemory.FarLinksAt + (number * sizeof(FarLink));

    /// <summary>First tag of a return cache.</summary>
    internal static int Returns(int set)
        => InSet(set, VcpuMemory.ReturnsAt, VcpuMemory.LegacyReturnsAt, ReturnCache.TableBytes);

    /// <summary>See <see cref="LegacyState.ReadLimits"/>.</summary>
    internal static int Limit(int segment, bool isWrite)
        => (isWrite ? s_writeLimits : s_readLimits) + (segment * sizeof(ulong));

    /// <summary>Selector of a segment register.</summary>
    internal static int Selector(int segment) => SegmentBase(segment) + s_selectorAt;

    // What there is of each set: those of code of 16 and 32 bits lie elsewhere.
    private static int InSet(int set, int wideAt, int legacyAt, int sizeBytes) => set < Variant.LegacySets
        ? wideAt + (set * sizeBytes)
        : legacyAt + ((set - Variant.LegacySets) * sizeBytes);
}
