using System;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Instructions;

/// <summary>The x87 registers in <see cref="CpuState.Fpu"/>, in the 64-bit FXSAVE layout.</summary>
/// <remarks>
/// <code>
/// 0 FCW u16 | 2 FSW u16 | 4 abridged FTW u8 | 6 FOP u16 | 8 FIP u64 | 16 FDP u64 | 24 MXCSR, unused here
/// 32 ST0 .. ST7: 10 bytes each, 16 apart
/// </code>
/// Spec: SDM volume 1, 10.5.1 table 10-2.
/// </remarks>
internal static unsafe class FpuImage
{
    /// <summary>Bytes of the image that hold state.</summary>
    internal const int Bytes = 160;

    internal const ushort ErrorSummary = 0x0080;
    internal const ushort DefaultControl = 0x037F;

    private const ushort Busy = 0x8000;
    private const ushort Exceptions = 0x003F;
    private const int OpcodeAt = 6;
    private const int RegistersAt = 32;

    internal static ref ushort Control(CpuState* state) => ref *(ushort*)state->Fpu;

    internal static ref ushort Status(CpuState* state) => ref *(ushort*)(state->Fpu + 2);

    /// <summary>Bit n set: physical register n holds something.</summary>
    internal static ref byte Tags(CpuState* state) => ref state->Fpu[4];

    internal static ref ushort Opcode(CpuState* state) => ref *(ushort*)(state->Fpu + 6);

    internal static ref ulong InstructionPointer(CpuState* state) => ref *(ulong*)(state->Fpu + 8);

    internal static ref ulong OperandPointer(CpuState* state) => ref *(ulong*)(state->Fpu + 16);

    /// <summary>ST(<paramref name="index"/>), counted from the top of the stack: 10 bytes.</summary>
    internal static byte* Register(CpuState* state, int index) => state->Fpu + RegistersAt + (16 * index);

    /// <summary>FNINIT.</summary>
    internal static void Initialize(CpuState* state)
    {
        TurnTo(state, 0);
        new Span<byte>(state->Fpu, RegistersAt).Clear();
        Control(state) = DefaultControl;
    }

    /// <summary>FNINIT and empty registers: the initial configuration of XSAVE component 0.</summary>
    internal static void Reset(CpuState* state)
    {
        new Span<byte>(state->Fpu, Bytes).Clear();
        Control(state) = DefaultControl;
    }

    /// <summary>
    /// Prepares for another TOP in the status word: the image counts registers from the top, and they stay where they
    /// physically are.
    /// </summary>
    internal static void TurnTo(CpuState* state, int top)
    {
        const int RegisterBytes = 8 * 16;
        int bytes = ((top - Top(state)) & 7) * 16;
        var registers = new Span<byte>(state->Fpu + RegistersAt, RegisterBytes);
        Span<byte> turned = stackalloc byte[RegisterBytes];
        registers[bytes..].CopyTo(turned);
        registers[..bytes].CopyTo(turned[(RegisterBytes - bytes)..]);
        turned.CopyTo(registers);
    }

    /// <summary>What every MMX instruction does besides: TOP 0, all registers valid (EMMS: empty).</summary>
    internal static void EnterMmx(CpuState* state)
    {
        TurnTo(state, 0);
        Status(state) &= unchecked((ushort)~0x3800);
        Tags(state) = 0xFF;
    }

    /// <summary>Makes ES and B agree with the flags and masks, as loading either does.</summary>
    internal static void UpdateSummary(CpuState* state)
    {
        bool isPending = (Status(state) & ~Control(state) & Exceptions) != 0;
        Status(state) = (ushort)((Status(state) & ~(ErrorSummary | Busy)) | (isPending ? ErrorSummary | Busy : 0));
    }

    /// <summary>Whether all exceptions are masked and none is pending: no instruction can raise one.</summary>
    internal static bool IsQuiet(CpuState* state)
        => (Control(state) & Exceptions) == Exceptions && (Status(state) & ErrorSummary) == 0;

    /// <summary>
    /// Takes the registers over from an FXSAVE image that the host wrote while it ran the guest's instructions. The
    /// pointers are cleared, as CPUs do that keep them for pending exceptions only.
    /// </summary>
    internal static void TakeOver(CpuState* state, byte* image)
    {
        new ReadOnlySpan<byte>(image, Bytes).CopyTo(new Span<byte>(state->Fpu, Bytes));
        new Span<byte>(state->Fpu + OpcodeAt, RegistersAt - OpcodeAt).Clear();
    }

    /// <summary>FCW: bit 6 reads as 1, reserved bits as 0.</summary>
    internal static ushort Canonical(ushort control) => (ushort)((control & 0x1F3F) | 0x40);

    /// <summary>The tag word with two bits a register: 0 valid, 1 zero, 2 special, 3 empty.</summary>
    internal static ushort FullTags(CpuState* state)
    {
        int top = Top(state);
        int tags = 0;
        for (int physical = 0; physical < 8; physical++)
        {
            byte* register = Register(state, (physical - top) & 7);
            int tag = (Tags(state) & (1 << physical)) == 0 ? 3 : Classify(*(ulong*)register, *(ushort*)(register + 8));
            tags |= tag << (2 * physical);
        }

        return (ushort)tags;
    }

    /// <summary>Takes over a tag word with two bits a register: only "empty" is believed.</summary>
    internal static void SetFullTags(CpuState* state, ushort tags)
    {
        int abridged = 0;
        for (int physical = 0; physical < 8; physical++)
        {
            abridged |= ((tags >> (2 * physical)) & 3) != 3 ? 1 << physical : 0;
        }

        Tags(state) = (byte)abridged;
    }

    private static int Top(CpuState* state) => (Status(state) >> 11) & 7;

    private static int Classify(ulong significand, ushort signAndExponent)
    {
        int exponent = signAndExponent & 0x7FFF;
        if (exponent == 0 && significand == 0)
        {
            return 1;
        }

        return exponent is 0 or 0x7FFF || (long)significand >= 0 ? 2 : 0;
    }
}
