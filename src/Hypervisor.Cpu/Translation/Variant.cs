using System.Runtime.CompilerServices;
using Hypervisor.Cpu.Instructions;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Translation;

/// <summary>What translated code takes for granted besides the guest's bytes; part of a block's key.</summary>
/// <param name="Bits">TlbMode, and which units may be used directly.</param>
internal readonly partial record struct Variant(uint Bits)
{
    private const uint ModeMask = 3;
    private const uint SseBit = 1 << 2;
    private const uint AvxBit = 1 << 3;
    private const uint FpuBit = 1 << 4;
    private const uint CarefulBit = 1 << 5;
    private const uint WideBit = 1 << 6;

    /// <summary>TlbMode of its accesses.</summary>
    internal int Mode => (int)(Bits & ModeMask);

    /// <summary>CPL 0; otherwise 3.</summary>
    internal bool IsSupervisor => Mode != TlbMode.User;

    /// <summary>
    /// XMM registers by legacy encodings, with all floating-point exceptions masked; in supervisor mode no more than
    /// instructions that do not compute in floating point.
    /// </summary>
    internal bool HasSse => (Bits & SseBit) != 0;

    /// <summary>XMM and YMM registers by VEX encodings, likewise.</summary>
    internal bool HasAvx => (Bits & AvxBit) != 0;

    /// <summary>ZMM and mask registers, likewise.</summary>
    internal bool HasWide => (Bits & WideBit) != 0;

    /// <summary>The x87 unit, with all exceptions masked and none pending.</summary>
    internal bool HasFpu => (Bits & FpuBit) != 0;

    /// <summary>Each access checked alone: for a stack or a structure that crosses a page.</summary>
    internal bool IsCareful => (Bits & CarefulBit) != 0;

    /// <summary>The same, with <see cref="IsCareful"/>.</summary>
    internal Variant Careful => new(Bits | CarefulBit);

    /// <summary>What holds now; false: code of this mode is not translated.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static unsafe bool TryGet(Vcpu vcpu, out Variant variant)
    {
        CpuState* state = vcpu.State;
        int mode = vcpu.Mmu.CurrentMode;
        uint bits = (uint)mode;
        if ((state->Cr0 & Cr0.TaskSwitched) == 0)
        {
            bool isEmulated = (state->Cr0 & Cr0.Emulation) != 0;
            bool hasSse = !isEmulated && (state->Cr4 & Cr4.FxsaveEnable) != 0;
            bool hasAvx = (state->Cr4 & Cr4.XsaveEnable) != 0 && (~state->Xcr0 & ExtendedState.AvxUnit) == 0;
            bool hasFpu = false;
            if (mode == TlbMode.User)
            {
                bool isMasked = SimdExceptions.AreAllMasked(state->Mxcsr);
                hasSse &= isMasked;
                hasAvx &= isMasked;
                hasFpu = !isEmulated && FpuImage.IsQuiet(state);
            }

            bool hasWide = hasAvx && (~state->Xcr0 & ExtendedState.Avx512Unit) == 0;
            bits |= (hasSse ? SseBit : 0) | (hasAvx ? AvxBit : 0) | (hasFpu ? FpuBit : 0) | (hasWide ? WideBit : 0);
        }

        if (state->CodeMode != 2)
        {
            bits |= LegacyBits(state);
        }

        variant = new Variant(bits);
        return mode != TlbMode.Checked && (state->Cpl is 0 or 3);
    }
}
