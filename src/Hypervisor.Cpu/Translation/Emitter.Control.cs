using Hypervisor.Core;

namespace Hypervisor.Cpu.Translation;

/// <content>Jumps, vectors and the control registers of the floating-point units.</content>
internal sealed unsafe partial class Emitter
{
    private const int Rel32Bytes = 4;

    /// <summary>Whether LOOP is one simple operation: on AMD's processors (Agner Fog, instruction tables).</summary>
    internal static bool HasFastLoop { get; } = IsAmd();

    /// <summary>Whether <see cref="JumpUnlessRcxIsOne"/> is a LOOP.</summary>
    internal bool UsesLoop { get; init; } = HasFastLoop;

    /// <summary>JMP to code at a known address.</summary>
    internal void Jump(byte* target)
    {
        Byte(0xE9);
        U32(Distance(target));
    }

    /// <summary>CALL of code at a known address.</summary>
    internal void Call(byte* target)
    {
        Byte(0xE8);
        U32(Distance(target));
    }

    /// <summary>JMP to a place that <see cref="Land"/> or a later patch fills in.</summary>
    internal byte* JumpForward()
    {
        Byte(0xE9);
        return Hole();
    }

    /// <summary>Jcc to a place that <see cref="Land"/> or a later patch fills in.</summary>
    internal byte* JumpForwardIf(int condition)
    {
        Byte(0x0F);
        Byte((byte)(0x80 | condition));
        return Hole();
    }

    /// <summary>JRCXZ over a few bytes, to where <see cref="LandShort"/> is called.</summary>
    internal byte* JumpShortIfRcxZero()
    {
        Byte(0xE3);
        Byte(0);
        return _at - 1;
    }

    /// <summary>
    /// Falls through when RCX is 0, else jumps to a place that <see cref="Land"/> or a later patch fills in.
    /// </summary>
    /// <remarks>For what an indirect jump follows: measured on Zen 4, LOOP makes that worse predicted.</remarks>
    internal byte* JumpUnlessRcxIsZero()
    {
        Bytes([0xE3, 0x05, 0xE9]); // JRCXZ over JMP
        return Hole();
    }

    /// <summary>
    /// Falls through when RCX is 1, else jumps to a place that <see cref="Land"/> or a later patch fills in. Changes
    /// RCX, and no flags.
    /// </summary>
    /// <remarks>
    /// The way that is nearly always gone must be the one that does not jump: a taken jump needs an entry of the host's
    /// branch target buffer, and flat code, with a check at every other instruction, has many more checks than the
    /// buffer has entries (measured on Zen 4: beyond 8,192 of them, 7 ns each instead of 0.5). LOOP is the one jump
    /// that reads no flags and can be turned that way; its reach of 127 bytes ends in the JMP hidden in the NOP behind
    /// it, whose SIB byte is the opcode of that. Where LOOP is slow the jump is taken.
    /// </remarks>
    internal byte* JumpUnlessRcxIsOne()
    {
        if (UsesLoop)
        {
            Bytes([0xE2, 0x03, 0x0F, 0x1F, 0x84, 0xE9]); // LOOP over three bytes; NOP [RCX + RBP * 8 + displacement]
            return Hole();
        }

        Lea(HostRegister.Rcx, HostRegister.Rcx, -1);
        return JumpUnlessRcxIsZero();
    }

    /// <summary>JMP over a few bytes, to where <see cref="LandShort"/> is called.</summary>
    internal byte* JumpShort()
    {
        Byte(0xEB);
        Byte(0);
        return _at - 1;
    }

    /// <summary>The jump whose displacement is at <paramref name="hole"/> comes here.</summary>
    internal void Land(byte* hole) => *(int*)hole = (int)(_at - (hole + Rel32Bytes));

    /// <summary>The short jump whose displacement is at <paramref name="hole"/> comes here.</summary>
    internal void LandShort(byte* hole)
    {
        long distance = _at - (hole + 1);
        Check.That(distance <= sbyte.MaxValue);
        *hole = (byte)distance;
    }

    /// <summary>Points a jump at other code. <paramref name="hole"/> is of the view that writes.</summary>
    internal static void Patch(byte* hole, long toExecute, byte* target)
        => System.Threading.Volatile.Write(ref *(int*)hole, (int)(target - (hole + toExecute + Rel32Bytes)));

    /// <summary>JMP [base + index * 8 + displacement].</summary>
    internal void JumpIndexed(int baseRegister, int index, int displacement)
        => Indexed(wide: false, 0xFF, 4, baseRegister, index, 3, displacement);

    /// <summary>JMP [base + displacement].</summary>
    internal void JumpMemory(int baseRegister, int displacement)
        => General(wide: false, 0xFF, 4, baseRegister, displacement);

    /// <summary>LEA target, [RIP + displacement]: the address of a place that a later patch fills in.</summary>
    internal byte* LeaForward(int target)
    {
        Byte(Rex(wide: true, target, 0, 0));
        Byte(0x8D);
        Byte((byte)(((target & 7) << 3) | HostRegister.Rbp));
        return Hole();
    }

    /// <summary>JMP register.</summary>
    internal void JumpRegister(int register)
    {
        RexIfHigh(register);
        Byte(0xFF);
        Byte((byte)(0xE0 | (register & 7)));
    }

    /// <summary>CALL [base + displacement].</summary>
    internal void CallMemory(int baseRegister, int displacement)
        => General(wide: false, 0xFF, 2, baseRegister, displacement);

    /// <summary>MOVUPS xmm, [base + displacement]: leaves bits above 127 alone.</summary>
    internal void LoadXmm(int vector, int baseRegister, int displacement)
        => TwoByte(wide: false, 0x10, vector, baseRegister, displacement);

    /// <summary>MOVUPS [base + displacement], xmm.</summary>
    internal void StoreXmm(int baseRegister, int displacement, int vector)
        => TwoByte(wide: false, 0x11, vector, baseRegister, displacement);

    /// <summary>VMOVUPS ymm, [base + displacement].</summary>
    internal void LoadYmm(int vector, int baseRegister, int displacement)
        => Vector256(0x10, vector, baseRegister, displacement);

    /// <summary>VMOVUPS [base + displacement], ymm.</summary>
    internal void StoreYmm(int baseRegister, int displacement, int vector)
        => Vector256(0x11, vector, baseRegister, displacement);

    /// <summary>VZEROUPPER: upper halves clean, so that the caller's SSE code pays nothing.</summary>
    internal void ZeroUpper() => Bytes([0xC5, 0xF8, 0x77]);

    internal void LoadMxcsr(int baseRegister, int displacement)
        => TwoByte(wide: false, 0xAE, 2, baseRegister, displacement);

    internal void StoreMxcsr(int baseRegister, int displacement)
        => TwoByte(wide: false, 0xAE, 3, baseRegister, displacement);

    internal void Fxsave64(int baseRegister, int displacement)
        => TwoByte(wide: true, 0xAE, 0, baseRegister, displacement);

    internal void Fxrstor64(int baseRegister, int displacement)
        => TwoByte(wide: true, 0xAE, 1, baseRegister, displacement);

    /// <summary>FNINIT: an empty x87 stack, all exceptions masked.</summary>
    internal void InitializeFpu() => Bytes([0xDB, 0xE3]);

    /// <summary>MOVS or STOS, of 2^shift bytes, upwards; with REP, RCX times.</summary>
    internal void String(bool isMove, int shift, bool isRepeated)
    {
        if (isRepeated)
        {
            Byte(0xF3);
        }

        if (shift == 3)
        {
            Byte(0x48);
        }

        Byte((byte)((isMove ? 0xA4 : 0xAA) | (shift == 0 ? 0 : 1)));
    }

    private static bool IsAmd()
    {
        (int _, int b, int c, int d) = System.Runtime.Intrinsics.X86.X86Base.CpuId(0, 0);
        return (b, d, c) is (0x68747541, 0x69746E65, 0x444D4163) // "AuthenticAMD"
            or (0x6F677948, 0x6E65476E, 0x656E6975); // "HygonGenuine"
    }

    private byte* Hole()
    {
        U32(0);
        return _at - Rel32Bytes;
    }

    private uint Distance(byte* target)
    {
        long distance = target - (Here + Rel32Bytes);
        Check.That(distance == (int)distance);
        return (uint)(int)distance;
    }

    private void TwoByte(bool wide, byte opcode, int reg, int baseRegister, int displacement)
    {
        byte rex = Rex(wide, reg, 0, baseRegister);
        if (rex != 0x40)
        {
            Byte(rex);
        }

        Byte(0x0F);
        Byte(opcode);
        MemoryOperand(reg, baseRegister, displacement);
    }

    private void Vector256(byte opcode, int vector, int baseRegister, int displacement)
    {
        Vex3(map: 1, prefix: 0, wide: false, is256: true, vector, 0, baseRegister);
        Byte(opcode);
        MemoryOperand(vector, baseRegister, displacement);
    }
}
