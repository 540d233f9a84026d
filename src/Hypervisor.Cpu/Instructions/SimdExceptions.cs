using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Instructions;

/// <summary>SSE and AVX instructions while the guest has unmasked a floating-point exception.</summary>
/// <remarks>Spec: SDM volume 1, 11.5.2 and 11.5.3; appendix E.</remarks>
internal static unsafe class SimdExceptions
{
    internal const uint Flags = 0x3F;
    internal const uint Masks = 0x1F80;

    /// <summary>Bits of MXCSR that exist. Loading any other faults, on the host too.</summary>
    internal const uint Defined = 0xFFFF;

    private const int MaskShift = 7;
    private const uint BeforeComputing = 0x07; // invalid, denormal, divide by zero
    private const uint Underflow = 0x10;
    private const uint FlushToZero = 0x8000;

    /// <summary>Whether MXCSR can be loaded on the host as it is: no exception can come.</summary>
    internal static bool AreAllMasked(uint mxcsr) => (mxcsr & (Masks | ~Defined)) == Masks;

    /// <summary>Computes with everything masked, then takes it back if something unmasked happened.</summary>
    internal static Outcome ComputeUnmasked(Vcpu vcpu, Operation* op, byte* memory)
    {
        CpuState* state = vcpu.State;
        CpuState before = *state;
        uint guest = state->Mxcsr & Defined;
        uint unmasked = ~(guest >> MaskShift) & Flags;
        bool isFlushed = (unmasked & Underflow) == 0 || ((HostUse)op->Source & HostUse.TinyUnmasked) == 0;
        uint flush = isFlushed ? 0 : FlushToZero;
        uint raised = Run(state, op, memory, (guest | Masks) & ~Flags & ~flush);
        CpuState after = *state;
        if ((unmasked & Underflow) != 0)
        {
            // Unmasked, a tiny result counts even when it is exact. Flushing to zero reports just that.
            *state = before;
            raised |= Run(state, op, memory, (guest | Masks | FlushToZero) & ~Flags) & Underflow;
        }

        // A denormal, invalid or zero operand is found before anything is computed.
        if ((raised & unmasked & BeforeComputing) != 0)
        {
            raised &= BeforeComputing;
        }

        bool isRaised = (raised & unmasked) != 0;
        *state = isRaised ? before : after;
        state->Mxcsr = guest | raised;
        if (!isRaised)
        {
            return Outcome.Next;
        }

        return vcpu.Raise((state->Cr4 & Cr4.SimdExceptions) != 0
            ? ExceptionVector.SimdFloatingPoint
            : ExceptionVector.InvalidOpcode);
    }

    private static uint Run(CpuState* state, Operation* op, byte* memory, uint mxcsr)
    {
        state->Mxcsr = mxcsr;
        HostInstructions.Call(state, op, memory);
        return state->Mxcsr & Flags;
    }
}
