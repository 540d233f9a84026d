using Hypervisor.Core;

namespace Hypervisor.Cpu.Translation;

/// <content>Operands of 16 and 32 bits. None of these touches flags.</content>
internal sealed unsafe partial class Emitter
{
    private const byte OperandSize = 0x66;

    /// <summary>MOV target, source; 32 bits: clears the upper half.</summary>
    internal void Move32(int target, int source) => Registers(wide: false, 0x89, source, target);

    /// <summary>MOV target, source; 16 bits: keeps all others.</summary>
    internal void Move16(int target, int source)
    {
        Byte(OperandSize);
        Registers(wide: false, 0x89, source, target);
    }

    /// <summary>MOVZX target, source; from 16 bits.</summary>
    internal void MoveZero16(int target, int source)
    {
        byte rex = Rex(wide: false, target, 0, source);
        if (rex != 0x40)
        {
            Byte(rex);
        }

        Bytes([0x0F, 0xB7, (byte)(0xC0 | ((target & 7) << 3) | (source & 7))]);
    }

    /// <summary>MOVZX target, WORD [base + displacement].</summary>
    internal void LoadZero16(int target, int baseRegister, int displacement)
        => TwoByte(wide: false, 0xB7, target, baseRegister, displacement);

    /// <summary>
    /// MOV target, [base + index + displacement], of 2, 4 or 8 bytes; clears what is above them.
    /// </summary>
    internal void LoadZero(int sizeBytes, int target, int baseRegister, int index, int displacement)
    {
        if (sizeBytes != 2)
        {
            LoadIndexed(sizeBytes == 8, target, baseRegister, index, 0, displacement);
            return;
        }

        byte rex = Rex(wide: false, target, index, baseRegister);
        if (rex != 0x40)
        {
            Byte(rex);
        }

        Byte(0x0F);
        Byte(0xB7);
        IndexedOperand(target, baseRegister, index, 0, displacement);
    }

    /// <summary>MOV [base + index + displacement], source; of 2, 4 or 8 bytes.</summary>
    internal void StoreIndexed(int sizeBytes, int baseRegister, int index, int displacement, int source)
    {
        if (sizeBytes == 2)
        {
            Byte(OperandSize);
        }

        Indexed(sizeBytes == 8, 0x89, source, baseRegister, index, 0, displacement);
    }

    /// <summary>MOV [base + index + displacement], immediate; of 2 or 4 bytes.</summary>
    internal void StoreImmediateIndexed(int sizeBytes, int baseRegister, int index, int displacement, int value)
    {
        Check.That(sizeBytes is 2 or 4);
        if (sizeBytes == 2)
        {
            Byte(OperandSize);
        }

        Indexed(wide: false, 0xC7, 0, baseRegister, index, 0, displacement);
        Byte((byte)value);
        Byte((byte)(value >> 8));
        if (sizeBytes == 4)
        {
            Byte((byte)(value >> 16));
            Byte((byte)(value >> 24));
        }
    }
}
