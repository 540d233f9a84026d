using System.Runtime.InteropServices;

namespace Hypervisor.Cpu.State;

/// <summary>
/// Architectural registers of one vCPU, at fixed offsets in native memory that generated code addresses.
/// </summary>
/// <remarks>
/// The first 256 bytes are reachable with a one-byte offset, which is how a decoded operand names its register: general
/// registers, the <see cref="Zero"/> slot (an absent base or index) and <see cref="Rip"/>.
/// Vector registers are stored whole, register n at <c>Vectors + 64 n</c>; XMM and YMM are their low parts.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct CpuState
{
    /// <summary>RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15: the order of the ModRM encoding.</summary>
    public fixed ulong Gpr[16];

    /// <summary>Always 0: read by operands that have no base or no index.</summary>
    public ulong Zero;

    /// <summary>While an instruction executes: the address of the next one. Offset in CS, not linear.</summary>
    public ulong Rip;

    /// <summary>
    /// RFLAGS. Its arithmetic bits are stale unless <see cref="LazyShift"/> is
    /// <see cref="ArithmeticFlags.Explicit"/>: go through <see cref="ArithmeticFlags"/>.
    /// </summary>
    public ulong Rflags;

    /// <summary>Result of the last flag-setting operation, zero-extended.</summary>
    public ulong LazyResult;

    /// <summary>Carry out of each bit position of that operation.</summary>
    public ulong LazyCarries;

    /// <summary>64 minus the width in bits of that operation, or <see cref="ArithmeticFlags.Explicit"/>.</summary>
    public uint LazyShift;

    /// <summary>Current privilege level, 0 to 3.</summary>
    public uint Cpl;

    /// <summary>
    /// Nonzero when the vCPU must look up at the next block entry. One byte per cause, see EventBytes.
    /// </summary>
    public ulong Events;

    /// <summary>The table of the TLB that data accesses use now: one of three, by privilege. See Mmu.</summary>
    public ulong* Tlb;

    /// <summary>Mask of the stack pointer: 0xFFFF, 0xFFFFFFFF or all ones, from SS and the mode.</summary>
    public ulong StackMask;

    /// <summary>0 in 16-bit, 1 in 32-bit, 2 in 64-bit code: which decoder.</summary>
    public uint CodeMode;

    /// <summary>Nonzero in 64-bit mode or compatibility mode (EFER.LMA).</summary>
    public uint LongMode;

    /// <summary>ES, CS, SS, DS, FS, GS, LDTR, TR.</summary>
    public SegmentArray Segments;

    /// <summary>GDTR and IDTR: base and limit; the attributes are unused.</summary>
    public Segment Gdtr, Idtr;

    /// <summary>Control registers. CR8 lives in the local APIC.</summary>
    public ulong Cr0, Cr2, Cr3, Cr4;

    /// <summary>IA32_EFER.</summary>
    public ulong Efer;

    /// <summary>XCR0.</summary>
    public ulong Xcr0;

    /// <summary>DR0 to DR7; 4 and 5 are unused.</summary>
    public fixed ulong Dr[8];

    /// <summary>System call registers.</summary>
    public ulong Star, Lstar, Cstar, Fmask, KernelGsBase, SysenterCs, SysenterEsp, SysenterEip;

    /// <summary>IA32_TSC_AUX, IA32_PAT.</summary>
    public ulong TscAux, Pat;

    /// <summary>Guest TSC = guest nanoseconds + this.</summary>
    public ulong TscOffset;

    /// <summary>1 during the instruction after STI or MOV/POP SS: interrupts wait.</summary>
    public uint InterruptShadow;

    /// <summary>
    /// 0 active, 1 halted, 2 shut down (triple fault), 3 waiting for SIPI, 4 in MWAIT. Spec: SDM volume 3,
    /// 25.4.2.
    /// </summary>
    public uint Activity;

    /// <summary>Exception recorded by Raise, to be delivered.</summary>
    public uint FaultVector, FaultErrorCode, FaultHasErrorCode;

    /// <summary>MXCSR.</summary>
    public uint Mxcsr;

    /// <summary>AVX-512 mask registers.</summary>
    public fixed ulong Masks[8];

    /// <summary>Puts <see cref="Fpu"/> at 768 and <see cref="Vectors"/> at 1280: whole cache lines.</summary>
    public fixed ulong Alignment[4];

    /// <summary>
    /// x87 and MMX in FXSAVE layout (first 160 bytes used). Spec: SDM volume 1, 10.5.1. 16-byte aligned.
    /// </summary>
    public fixed byte Fpu[512];

    /// <summary>ZMM0 to ZMM31, 64 bytes each. 64-byte aligned.</summary>
    public fixed byte Vectors[32 * 64];

    /// <summary>For accesses that cross a page or are not RAM: data goes through here. 64 bytes used.</summary>
    public fixed byte Scratch[128];
}

/// <summary>Eight segment registers, see <see cref="SegmentRegister"/>.</summary>
[System.Runtime.CompilerServices.InlineArray(SegmentRegister.Count)]
public struct SegmentArray
{
    private Segment _first;
}
