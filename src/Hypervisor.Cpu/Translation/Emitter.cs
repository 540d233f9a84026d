using System;
using System.Buffers.Binary;
using Hypervisor.Core;

namespace Hypervisor.Cpu.Translation;

/// <summary>
/// Appends x86-64 machine code to a buffer: one method per instruction form that generated code uses.
/// </summary>
/// <remarks>
/// Registers are numbers as in the encoding (<see cref="HostRegister"/>); memory operands are [base + disp32].
/// Spec: SDM volume 2, chapter 2.
/// </remarks>
internal ref struct Emitter(Span<byte> buffer)
{
    private readonly Span<byte> _buffer = buffer;

    /// <summary>Bytes appended so far.</summary>
    internal int Length { get; private set; }

    /// <summary>The code.</summary>
    internal readonly ReadOnlySpan<byte> Code => _buffer[..Length];

    internal void Byte(byte value) => _buffer[Length++] = value;

    internal void Bytes(scoped ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_buffer[Length..]);
        Length += bytes.Length;
    }

    internal void U32(uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_buffer[Length..], value);
        Length += sizeof(uint);
    }

    internal void Push(int register)
    {
        RexIfHigh(register);
        Byte((byte)(0x50 | (register & 7)));
    }

    internal void Pop(int register)
    {
        RexIfHigh(register);
        Byte((byte)(0x58 | (register & 7)));
    }

    /// <summary>MOV target, source; 64 bits.</summary>
    internal void Move(int target, int source)
    {
        Byte(Rex(wide: true, source, target));
        Byte(0x89);
        Byte((byte)(0xC0 | ((source & 7) << 3) | (target & 7)));
    }

    /// <summary>MOV target, [base + displacement]; 64 bits.</summary>
    internal void Load(int target, int baseRegister, int displacement)
        => General(wide: true, 0x8B, target, baseRegister, displacement);

    /// <summary>MOV [base + displacement], source; 64 bits.</summary>
    internal void Store(int baseRegister, int displacement, int source)
        => General(wide: true, 0x89, source, baseRegister, displacement);

    /// <summary>MOV QWORD [base + displacement], sign-extended immediate.</summary>
    internal void StoreImmediate64(int baseRegister, int displacement, int value)
    {
        General(wide: true, 0xC7, 0, baseRegister, displacement);
        U32((uint)value);
    }

    /// <summary>MOV DWORD [base + displacement], immediate.</summary>
    internal void StoreImmediate32(int baseRegister, int displacement, uint value)
    {
        General(wide: false, 0xC7, 0, baseRegister, displacement);
        U32(value);
    }

    /// <summary>AND DWORD register, immediate: clears the upper half of the register.</summary>
    internal void And32(int register, uint mask)
    {
        RexIfHigh(register);
        Byte(0x81);
        Byte((byte)(0xE0 | (register & 7)));
        U32(mask);
    }

    /// <summary>AND QWORD [base + displacement], sign-extended immediate.</summary>
    internal void AndMemory64(int baseRegister, int displacement, int mask)
    {
        General(wide: true, 0x81, 4, baseRegister, displacement);
        U32((uint)mask);
    }

    /// <summary>OR [base + displacement], source; 64 bits.</summary>
    internal void OrMemory64(int baseRegister, int displacement, int source)
        => General(wide: true, 0x09, source, baseRegister, displacement);

    internal void PushFlags() => Byte(0x9C);

    internal void PopFlags() => Byte(0x9D);

    internal void Return() => Byte(0xC3);

    /// <summary>MOVUPS xmm, [base + displacement]: leaves bits above 127 alone.</summary>
    internal void LoadXmm(int vector, int baseRegister, int displacement)
        => TwoByte(wide: false, 0x10, vector, baseRegister, displacement);

    /// <summary>MOVUPS [base + displacement], xmm.</summary>
    internal void StoreXmm(int baseRegister, int displacement, int vector)
        => TwoByte(wide: false, 0x11, vector, baseRegister, displacement);

    /// <summary>VMOVUPS ymm, [base + displacement].</summary>
    internal void LoadYmm(int vector, int baseRegister, int displacement)
        => Vex256(0x10, vector, baseRegister, displacement);

    /// <summary>VMOVUPS [base + displacement], ymm.</summary>
    internal void StoreYmm(int baseRegister, int displacement, int vector)
        => Vex256(0x11, vector, baseRegister, displacement);

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

    private static byte Rex(bool wide, int reg, int rm)
        => (byte)(0x40 | (wide ? 8 : 0) | ((reg >> 3) << 2) | (rm >> 3));

    private void RexIfHigh(int register)
    {
        if (register >= 8)
        {
            Byte(0x41);
        }
    }

    private void General(bool wide, byte opcode, int reg, int baseRegister, int displacement)
    {
        byte rex = Rex(wide, reg, baseRegister);
        if (rex != 0x40)
        {
            Byte(rex);
        }

        Byte(opcode);
        MemoryOperand(reg, baseRegister, displacement);
    }

    private void TwoByte(bool wide, byte opcode, int reg, int baseRegister, int displacement)
    {
        byte rex = Rex(wide, reg, baseRegister);
        if (rex != 0x40)
        {
            Byte(rex);
        }

        Byte(0x0F);
        Byte(opcode);
        MemoryOperand(reg, baseRegister, displacement);
    }

    // Three-byte VEX: inverted R, X, B and map 1; then W 0, no second source, L 1, no prefix.
    private void Vex256(byte opcode, int vector, int baseRegister, int displacement)
    {
        Check.That(vector < 16);
        Byte(0xC4);
        Byte((byte)(0x41 | (vector >= 8 ? 0 : 0x80) | (baseRegister >= 8 ? 0 : 0x20)));
        Byte(0x7C);
        Byte(opcode);
        MemoryOperand(vector, baseRegister, displacement);
    }

    // ModRM with a 32-bit displacement; RSP and R12 as base need a SIB byte.
    private void MemoryOperand(int reg, int baseRegister, int displacement)
    {
        Byte((byte)(0x80 | ((reg & 7) << 3) | (baseRegister & 7)));
        if ((baseRegister & 7) == HostRegister.Rsp)
        {
            Byte(0x24);
        }

        U32((uint)displacement);
    }
}
