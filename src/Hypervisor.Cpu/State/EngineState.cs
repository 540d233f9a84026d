using System.Runtime.InteropServices;

namespace Hypervisor.Cpu.State;

/// <summary>What generated code keeps for itself, just below the registers: all of it derived, none of it state.
/// </summary>
/// <remarks>
/// It ends where <see cref="CpuState"/> begins: its last 128 bytes are reachable with a one-byte offset.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct EngineState
{
    /// <summary>Its size.</summary>
    public const int Bytes = 384;

    /// <summary>How many <see cref="JumpEpochs"/> there are.</summary>
    public const int JumpEpochCount = 3;

    /// <summary>How many <see cref="Addends"/> there are.</summary>
    public const int AddendSlots = 7;

    /// <summary>Where generated code calls for a memory access that the TLB does not grant.</summary>
    public void* AccessFunction;

    /// <summary>Handle of the vCPU, for that function.</summary>
    public nint Handle;

    /// <summary>Where an access that failed leaves to: RIP of its instruction.</summary>
    public ulong ExitRip;

    /// <summary>Why it leaves, see ExitReason.</summary>
    public ulong ExitReason;

    /// <summary>MXCSR of the host while the guest's is in the register.</summary>
    public ulong HostMxcsr;

    /// <summary>Out: what the reason is about.</summary>
    public ulong ExitArgument;

    /// <summary>Flags at the border between C# and generated code: OF in the low byte, SF to CF in the next.</summary>
    public ulong PackedFlags;

    /// <summary>MXCSR bits that must be 1 for the host to load it: all exceptions masked.</summary>
    public ulong MxcsrMaskBits;

    /// <summary>MXCSR bits that must be 0.</summary>
    public ulong MxcsrReservedBits;

    /// <summary>Instructions that translated code finished, if it counts them.</summary>
    public ulong InstructionCount;

    /// <summary>Bits of a distance from the page that must be 0 for an access aligned to 16 bytes.</summary>
    public ulong Aligned16Bits;

    /// <summary>As <see cref="Aligned16Bits"/>, for 32 bytes.</summary>
    public ulong Aligned32Bits;

    /// <summary>The guest's RAX while RAX carries flags.</summary>
    public ulong SavedRax;

    /// <summary>0 while the guest's x87 registers are in the host's, else 1.</summary>
    public ulong IsFpuParked;

    /// <summary>Nonzero while the local APIC may have something that IF holds back. Any thread sets it.</summary>
    public ulong MayHaveInterrupt;

    /// <summary>Bits of the stack pointer that choose a slot of the return cache.</summary>
    public ulong ReturnSlotBits;

    /// <summary>RFLAGS.DF, for PEXT.</summary>
    public ulong DirectionBit;

    /// <summary>Where an AccessDescriptor says that it is a store, for PEXT.</summary>
    public ulong AccessWriteBit;

    /// <summary>Where an AccessDescriptor says how many bytes.</summary>
    public ulong AccessSizeBits;

    /// <summary>Where an AccessDescriptor says what must be aligned.</summary>
    public ulong AccessAlignmentBits;

    /// <summary>How often a second entry of the TLB granted an access.</summary>
    public ulong SecondHits;

    /// <summary>Bits of <see cref="SecondHits"/> that are 0 when the entries of a slot change places.</summary>
    public ulong SecondHitsBits;

    /// <summary>Bits of a CPUID leaf that choose a slot of its known answers.</summary>
    public ulong AnswerSlotBits;

    /// <summary>As <see cref="Aligned16Bits"/>, for 64 bytes.</summary>
    public ulong Aligned64Bits;

    /// <summary>
    /// 0 while ZMM16 to ZMM31, the mask registers and the upper halves of ZMM0 to ZMM15 are in the host's registers,
    /// else 1: then those upper halves are 0.
    /// </summary>
    public ulong IsWideParked;

    /// <summary>
    /// What is to be added to <see cref="InstructionCount"/> should what generated code asks for not be had: then the
    /// instruction that asked is not done. 0 if it does not count.
    /// </summary>
    public long Uncounted;

    private fixed ulong _unused[6];

    /// <summary>Host minus linear address of pages that were checked, for later accesses of the block.</summary>
    public fixed ulong Addends[AddendSlots];

    /// <summary>Linear address of the page that the running code lies on.</summary>
    public ulong CodeBase;

    /// <summary>Bits of a distance from the page that must be 0 for an access that lies on it.</summary>
    public ulong PageBits;

    /// <summary>Address bits that choose a TLB slot, for PEXT.</summary>
    public ulong TlbSlotBits;

    /// <summary>Address bits that choose a slot of the jump cache.</summary>
    public ulong JumpSlotBits;

    /// <summary>Target of an indirect call while its return address is pushed.</summary>
    public ulong SavedTarget;

    /// <summary>Code of that target.</summary>
    public ulong SavedCode;

    /// <summary>
    /// For each mode of translated code, 1 minus the number of times that known jump targets were forgotten.
    /// </summary>
    public fixed ulong JumpEpochs[JumpEpochCount];
}
