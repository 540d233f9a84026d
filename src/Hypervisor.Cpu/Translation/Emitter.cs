using System;
using Hypervisor.Core;

namespace Hypervisor.Cpu.Translation;

/// <summary>
/// Appends x86-64 machine code to memory: one method per instruction form that generated code uses.
/// </summary>
/// <remarks>
/// Registers are numbers as in the encoding (<see cref="HostRegister"/>). The bytes are written through one view and
/// run through another; addresses that this class takes and gives are of the view that runs.
/// Spec: SDM volume 2, chapter 2.
/// </remarks>
internal sealed unsafe partial class Emitter
{
    private byte* _at;
    private byte* _start;
    private byte* _end;
    private long _toExecute;

    /// <summary>Bytes appended since <see cref="Begin"/>.</summary>
    internal int Length => (int)(_at - _start);

    /// <summary>Bytes that still fit.</summary>
    internal int Room => (int)(_end - _at);

    /// <summary>Where the next instruction will run.</summary>
    internal byte* Here => _at + _toExecute;

    /// <summary>The code since <see cref="Begin"/>.</summary>
    internal ReadOnlySpan<byte> Code => new(_start, Length);

    /// <summary>Starts over at <paramref name="write"/>; the code will run at <paramref name="execute"/>.</summary>
    internal void Begin(byte* write, byte* execute, int lengthBytes)
    {
        _start = write;
        _at = write;
        _end = write + lengthBytes;
        _toExecute = execute - write;
    }

    internal void Byte(byte value)
    {
        Check.That(_at < _end);
        *_at++ = value;
    }

    internal void Bytes(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(new Span<byte>(_at, Room));
        _at += bytes.Length;
    }

    internal void U32(uint value)
    {
        Check.That(Room >= sizeof(uint));
        *(uint*)_at = value;
        _at += sizeof(uint);
    }

    internal void U64(ulong value)
    {
        Check.That(Room >= sizeof(ulong));
        *(ulong*)_at = value;
        _at += sizeof(ulong);
    }

    /// <summary>Fills up to the next multiple of <paramref name="alignment"/> with INT3.</summary>
    internal void Align(int alignment)
    {
        while (((ulong)Here & (ulong)(alignment - 1)) != 0)
        {
            Byte(0xCC);
        }
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
    internal void Move(int target, int source) => Registers(wide: true, 0x89, source, target);

    /// <summary>MOV target, immediate; clears the upper half.</summary>
    internal void MoveImmediate32(int target, uint value)
    {
        RexIfHigh(target);
        Byte((byte)(0xB8 | (target & 7)));
        U32(value);
    }

    /// <summary>MOV target, immediate of 64 bits.</summary>
    internal void MoveImmediate64(int target, ulong value)
    {
        Byte(Rex(wide: true, 0, 0, target));
        Byte((byte)(0xB8 | (target & 7)));
        U64(value);
    }

    /// <summary>MOV target, [base + displacement]; 64 bits.</summary>
    internal void Load(int target, int baseRegister, int displacement)
        => General(wide: true, 0x8B, target, baseRegister, displacement);

    /// <summary>MOV [base + displacement], source; 64 bits.</summary>
    internal void Store(int baseRegister, int displacement, int source)
        => General(wide: true, 0x89, source, baseRegister, displacement);

    /// <summary>MOV target, [base + index * 2^shift + displacement]; 64 bits.</summary>
    internal void LoadIndexed(int target, int baseRegister, int index, int shift, int displacement)
        => Indexed(wide: true, 0x8B, target, baseRegister, index, shift, displacement);

    /// <summary>MOV target, [base + index * 2^shift + displacement]; 64 or 32 bits.</summary>
    internal void LoadIndexed(bool wide, int target, int baseRegister, int index, int shift, int displacement)
        => Indexed(wide, 0x8B, target, baseRegister, index, shift, displacement);

    /// <summary>MOV [base + index * 2^shift + displacement], source; 64 bits.</summary>
    internal void StoreScaled(int baseRegister, int index, int shift, int displacement, int source)
        => Indexed(wide: true, 0x89, source, baseRegister, index, shift, displacement);

    /// <summary>MOV [base + index + displacement], source; 64 bits.</summary>
    internal void StoreIndexed(int baseRegister, int index, int displacement, int source)
        => Indexed(wide: true, 0x89, source, baseRegister, index, 0, displacement);

    /// <summary>MOV QWORD [base + index + displacement], sign-extended immediate.</summary>
    internal void StoreImmediateIndexed(int baseRegister, int index, int displacement, int value)
    {
        Indexed(wide: true, 0xC7, 0, baseRegister, index, 0, displacement);
        U32((uint)value);
    }

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

    /// <summary>LEA target, [base + displacement].</summary>
    internal void Lea(int target, int baseRegister, int displacement)
        => General(wide: true, 0x8D, target, baseRegister, displacement);

    /// <summary>LEA target, [base + index * 2^shift + displacement]; base or index may be -1.</summary>
    internal void LeaIndexed(bool wide, int target, int baseRegister, int index, int shift, int displacement)
    {
        if (index < 0 && baseRegister >= 0)
        {
            General(wide, 0x8D, target, baseRegister, displacement);
            return;
        }

        Indexed(wide, 0x8D, target, baseRegister, index, shift, displacement);
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

    /// <summary>OR QWORD [base + displacement], sign-extended immediate.</summary>
    internal void OrMemory64Immediate(int baseRegister, int displacement, int mask)
    {
        General(wide: true, 0x81, 1, baseRegister, displacement);
        U32((uint)mask);
    }

    /// <summary>OR target, source; 32 bits.</summary>
    internal void Or32(int target, int source) => Registers(wide: false, 0x09, source, target);

    /// <summary>SHL target, count; 32 bits.</summary>
    internal void ShiftLeft32(int target, int count)
    {
        Registers(wide: false, 0xC1, 4, target);
        Byte((byte)count);
    }

    /// <summary>SHR target, count; 32 bits.</summary>
    internal void ShiftRight32(int target, int count)
    {
        Registers(wide: false, 0xC1, 5, target);
        Byte((byte)count);
    }

    /// <summary>NOT target; 64 bits. Touches no flags.</summary>
    internal void Not(int target) => Registers(wide: true, 0xF7, 2, target);

    /// <summary>SUB target, source; 64 bits.</summary>
    internal void Subtract(int target, int source) => Registers(wide: true, 0x29, source, target);

    /// <summary>TEST register, register; 64 bits.</summary>
    internal void Test(int register) => Registers(wide: true, 0x85, register, register);

    /// <summary>CMP left, right.</summary>
    internal void Compare(bool wide, int left, int right) => Registers(wide, 0x39, right, left);

    /// <summary>CMP left, 1.</summary>
    internal void CompareWithOne(bool wide, int left)
    {
        Registers(wide, 0x83, 7, left);
        Byte(1);
    }

    /// <summary>MOV target, source; SAR target, all bits but one: -1 or 0.</summary>
    internal void MoveSigns(bool wide, int target, int source)
    {
        Registers(wide, 0x89, source, target);
        Registers(wide, 0xC1, 7, target);
        Byte((byte)(wide ? 63 : 31));
    }

    /// <summary>DIV divisor.</summary>
    internal void Divide(bool wide, int divisor) => Registers(wide, 0xF7, 6, divisor);

    /// <summary>IDIV divisor.</summary>
    internal void DivideSigned(bool wide, int divisor) => Registers(wide, 0xF7, 7, divisor);

    /// <summary>PEXT target, source, [base + displacement]; 64 bits. Touches no flags.</summary>
    internal void Pext(int target, int source, int baseRegister, int displacement)
    {
        Vex3(map: 2, prefix: 2, wide: true, is256: false, target, source, baseRegister);
        Byte(0xF5);
        MemoryOperand(target, baseRegister, displacement);
    }

    /// <summary>RORX target, source, count; 64 bits. Touches no flags.</summary>
    internal void RotateRight(int target, int source, int count)
    {
        Vex3(map: 3, prefix: 3, wide: true, is256: false, target, 0, source);
        Byte(0xF0);
        Byte((byte)(0xC0 | ((target & 7) << 3) | (source & 7)));
        Byte((byte)count);
    }

    internal void PushFlags() => Byte(0x9C);

    internal void PopFlags() => Byte(0x9D);

    /// <summary>LAHF; SETO AL: the arithmetic flags into AX.</summary>
    internal void PackFlags() => Bytes([0x9F, 0x0F, 0x90, 0xC0]);

    /// <summary>ADD AL, 7FH; SAHF: the arithmetic flags out of AX.</summary>
    internal void UnpackFlags() => Bytes([0x04, 0x7F, 0x9E]);

    internal void Return() => Byte(0xC3);

    private static byte Rex(bool wide, int reg, int index, int rm)
        => (byte)(0x40 | (wide ? 8 : 0) | ((reg >> 3) << 2) | ((index >> 3) << 1) | (rm >> 3));

    private void RexIfHigh(int register)
    {
        if (register >= 8)
        {
            Byte(0x41);
        }
    }

    private void Registers(bool wide, byte opcode, int reg, int rm)
    {
        byte rex = Rex(wide, reg, 0, rm);
        if (rex != 0x40)
        {
            Byte(rex);
        }

        Byte(opcode);
        Byte((byte)(0xC0 | ((reg & 7) << 3) | (rm & 7)));
    }

    private void General(bool wide, byte opcode, int reg, int baseRegister, int displacement)
    {
        byte rex = Rex(wide, reg, 0, baseRegister);
        if (rex != 0x40)
        {
            Byte(rex);
        }

        Byte(opcode);
        MemoryOperand(reg, baseRegister, displacement);
    }

    private void Indexed(bool wide, byte opcode, int reg, int baseRegister, int index, int shift, int displacement)
    {
        byte rex = Rex(wide, reg, Math.Max(index, 0), Math.Max(baseRegister, 0));
        if (rex != 0x40)
        {
            Byte(rex);
        }

        Byte(opcode);
        IndexedOperand(reg, baseRegister, index, shift, displacement);
    }

    // Three-byte VEX. The register fields are inverted.
    private void Vex3(int map, int prefix, bool wide, bool is256, int reg, int second, int rm)
    {
        Byte(0xC4);
        Byte((byte)(map | 0x40 | (reg >= 8 ? 0 : 0x80) | (rm >= 8 ? 0 : 0x20)));
        Byte((byte)((wide ? 0x80 : 0) | ((~second & 15) << 3) | (is256 ? 4 : 0) | prefix));
    }

    // ModRM, the shortest displacement; RSP and R12 as base need a SIB byte, RBP and R13 a displacement.
    private void MemoryOperand(int reg, int baseRegister, int displacement)
    {
        int mod = displacement == 0 && (baseRegister & 7) != HostRegister.Rbp ? 0
            : displacement == (sbyte)displacement ? 0x40
            : 0x80;
        Byte((byte)(mod | ((reg & 7) << 3) | (baseRegister & 7)));
        if ((baseRegister & 7) == HostRegister.Rsp)
        {
            Byte(0x24);
        }

        Displacement(mod, displacement);
    }

    private void IndexedOperand(int reg, int baseRegister, int index, int shift, int displacement)
    {
        Check.That(index != HostRegister.Rsp);
        int indexBits = index < 0 ? HostRegister.Rsp : index & 7;
        if (baseRegister < 0)
        {
            // No base: SIB with base 101 and mod 00 means a 32-bit displacement.
            Byte((byte)(((reg & 7) << 3) | HostRegister.Rsp));
            Byte((byte)((shift << 6) | (indexBits << 3) | HostRegister.Rbp));
            U32((uint)displacement);
            return;
        }

        int mod = displacement == 0 && (baseRegister & 7) != HostRegister.Rbp ? 0
            : displacement == (sbyte)displacement ? 0x40
            : 0x80;
        Byte((byte)(mod | ((reg & 7) << 3) | HostRegister.Rsp));
        Byte((byte)((shift << 6) | (indexBits << 3) | (baseRegister & 7)));
        Displacement(mod, displacement);
    }

    private void Displacement(int mod, int displacement)
    {
        if (mod == 0x40)
        {
            Byte((byte)displacement);
        }
        else if (mod == 0x80)
        {
            U32((uint)displacement);
        }
    }
}
