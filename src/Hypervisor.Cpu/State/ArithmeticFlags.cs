using System.Numerics;
using System.Runtime.CompilerServices;

namespace Hypervisor.Cpu.State;

/// <summary>The six arithmetic flags, computed only when somebody reads them.</summary>
/// <remarks>
/// An operation leaves its result and the carry out of each bit; that is two or three host instructions instead of a
/// dozen. From them: CF = carry out of the top bit, OF = top carry xor the one below it, AF = carry out of bit 3, ZF,
/// SF and PF from the result. Any combination in which ZF, SF, PF match a result can be stored so (<see cref="Set"/>);
/// others (POPF, SAHF, BT) are stored in RFLAGS with <see cref="Explicit"/>.
/// </remarks>
internal static unsafe class ArithmeticFlags
{
    /// <summary><see cref="CpuState.LazyShift"/> when the bits in RFLAGS are right.</summary>
    internal const uint Explicit = 0xFF;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void SetLogic<T>(CpuState* state, T result)
        where T : unmanaged, IBinaryInteger<T>
    {
        state->LazyResult = ulong.CreateTruncating(result);
        state->LazyCarries = 0;
        state->LazyShift = 64u - ((uint)sizeof(T) * 8);
    }

    /// <summary>After <paramref name="result"/> = left + right (+ carry).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void SetAdd<T>(CpuState* state, T left, T right, T result)
        where T : unmanaged, IBinaryInteger<T>
    {
        state->LazyResult = ulong.CreateTruncating(result);
        state->LazyCarries = ulong.CreateTruncating((left & right) | ((left | right) & ~result));
        state->LazyShift = 64u - ((uint)sizeof(T) * 8);
    }

    /// <summary>After <paramref name="result"/> = left - right (- borrow).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void SetSubtract<T>(CpuState* state, T left, T right, T result)
        where T : unmanaged, IBinaryInteger<T>
    {
        state->LazyResult = ulong.CreateTruncating(result);
        state->LazyCarries = ulong.CreateTruncating((~left & right) | (~(left ^ right) & result));
        state->LazyShift = 64u - ((uint)sizeof(T) * 8);
    }

    /// <summary>ZF, SF, PF from <paramref name="result"/>; the other three as given.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Set<T>(CpuState* state, T result, bool carry, bool overflow, bool adjust)
        where T : unmanaged, IBinaryInteger<T>
    {
        int bits = sizeof(T) * 8;
        ulong top = carry ? 1ul : 0;
        ulong below = carry != overflow ? 1ul : 0;
        state->LazyResult = ulong.CreateTruncating(result);
        state->LazyCarries = (top << (bits - 1)) | (below << (bits - 2)) | (adjust ? 8ul : 0);
        state->LazyShift = 64u - (uint)bits;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Carry(CpuState* state)
        => state->LazyShift != Explicit
            ? (long)(state->LazyCarries << (int)state->LazyShift) < 0
            : (state->Rflags & Rflags.Carry) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Zero(CpuState* state)
        => state->LazyShift != Explicit ? state->LazyResult == 0 : (state->Rflags & Rflags.Zero) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Sign(CpuState* state)
        => state->LazyShift != Explicit
            ? (long)(state->LazyResult << (int)state->LazyShift) < 0
            : (state->Rflags & Rflags.Sign) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Overflow(CpuState* state)
        => state->LazyShift != Explicit
            ? (long)((state->LazyCarries ^ (state->LazyCarries << 1)) << (int)state->LazyShift) < 0
            : (state->Rflags & Rflags.Overflow) != 0;

    internal static bool Parity(CpuState* state)
        => state->LazyShift != Explicit
            ? (BitOperations.PopCount((byte)state->LazyResult) & 1) == 0
            : (state->Rflags & Rflags.Parity) != 0;

    /// <summary>All of RFLAGS as the guest sees it.</summary>
    internal static ulong Read(CpuState* state)
    {
        if (state->LazyShift == Explicit)
        {
            return state->Rflags;
        }

        return (state->Rflags & ~Rflags.Arithmetic)
            | (Carry(state) ? Rflags.Carry : 0)
            | (Parity(state) ? Rflags.Parity : 0)
            | ((state->LazyCarries & 8) != 0 ? Rflags.Adjust : 0)
            | (Zero(state) ? Rflags.Zero : 0)
            | (Sign(state) ? Rflags.Sign : 0)
            | (Overflow(state) ? Rflags.Overflow : 0);
    }

    /// <summary>Makes RFLAGS itself right and returns it. Call before changing single bits of it.</summary>
    internal static ulong Materialize(CpuState* state)
    {
        state->Rflags = Read(state);
        state->LazyShift = Explicit;
        return state->Rflags;
    }

    /// <summary>Replaces the arithmetic flags, keeps the other bits of RFLAGS.</summary>
    internal static void WriteArithmetic(CpuState* state, ulong flags)
    {
        state->Rflags = (state->Rflags & ~Rflags.Arithmetic) | (flags & Rflags.Arithmetic);
        state->LazyShift = Explicit;
    }

    /// <summary>Evaluates condition code <paramref name="condition"/>, 0-15 as in Jcc's opcode.</summary>
    internal static bool Condition(CpuState* state, int condition)
    {
        bool result = (condition >> 1) switch
        {
            0 => Overflow(state),
            1 => Carry(state),
            2 => Zero(state),
            3 => Carry(state) || Zero(state),
            4 => Sign(state),
            5 => Parity(state),
            6 => Sign(state) != Overflow(state),
            _ => Zero(state) || Sign(state) != Overflow(state),
        };
        return result != ((condition & 1) != 0);
    }
}
