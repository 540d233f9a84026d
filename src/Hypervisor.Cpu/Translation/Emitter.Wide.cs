namespace Hypervisor.Cpu.Translation;

/// <content>512-bit registers and mask registers.</content>
internal sealed unsafe partial class Emitter
{
    private const int ZmmBytes = 64;

    /// <summary>VMOVUPS zmm, [base + displacement]; any of 32 registers.</summary>
    internal void LoadZmm(int vector, int baseRegister, int displacement)
        => Vector512(0x10, vector, baseRegister, displacement);

    /// <summary>VMOVUPS [base + displacement], zmm.</summary>
    internal void StoreZmm(int baseRegister, int displacement, int vector)
        => Vector512(0x11, vector, baseRegister, displacement);

    /// <summary>VPORQ zmm, zmm, [base + displacement].</summary>
    internal void OrZmm(int vector, int baseRegister, int displacement)
    {
        Evex(vector, vector, baseRegister, prefix: 1, wide: true);
        Byte(0xEB);
        CompressedOperand(vector, baseRegister, displacement);
    }

    /// <summary>VPORQ zmm, zmm, zmm.</summary>
    internal void OrZmm(int vector, int other)
    {
        Evex(vector, vector, other, prefix: 1, wide: true);
        Byte(0xEB);
        Byte((byte)(0xC0 | ((vector & 7) << 3) | (other & 7)));
    }

    /// <summary>KMOVQ k, [base + displacement].</summary>
    internal void LoadMask(int mask, int baseRegister, int displacement)
    {
        Vex3(map: 1, prefix: 0, wide: true, is256: false, mask, 0, baseRegister);
        Byte(0x90);
        MemoryOperand(mask, baseRegister, displacement);
    }

    /// <summary>KMOVQ [base + displacement], k.</summary>
    internal void StoreMask(int baseRegister, int displacement, int mask)
    {
        Vex3(map: 1, prefix: 0, wide: true, is256: false, mask, 0, baseRegister);
        Byte(0x91);
        MemoryOperand(mask, baseRegister, displacement);
    }

    /// <summary>VEXTRACTI64X4 ymm, zmm, 1: the upper half of <paramref name="vector"/>, both below 16.</summary>
    internal void ExtractUpper(int target, int vector)
    {
        Bytes([0x62, (byte)(0x53 | (vector >= 8 ? 0 : 0x80) | (target >= 8 ? 0 : 0x20)), 0xFD, 0x48, 0x3B]);
        Byte((byte)(0xC0 | ((vector & 7) << 3) | (target & 7)));
        Byte(1);
    }

    /// <summary>VPTEST ymm, ymm: the zero flag is set if all of <paramref name="vector"/> is 0.</summary>
    internal void TestYmm(int vector)
    {
        Vex3(map: 2, prefix: 1, wide: false, is256: true, vector, 0, vector);
        Byte(0x17);
        Byte((byte)(0xC0 | ((vector & 7) << 3) | (vector & 7)));
    }

    private void Vector512(byte opcode, int vector, int baseRegister, int displacement)
    {
        Evex(vector, 0, baseRegister, prefix: 0, wide: false);
        Byte(opcode);
        CompressedOperand(vector, baseRegister, displacement);
    }

    // EVEX, map 1, 512 bits, no mask. The register fields are inverted.
    private void Evex(int reg, int second, int rm, int prefix, bool wide)
    {
        Byte(0x62);
        Byte((byte)(0x41 | ((reg & 8) != 0 ? 0 : 0x80) | (rm >= 8 ? 0 : 0x20) | ((reg & 16) != 0 ? 0 : 0x10)));
        Byte((byte)((wide ? 0x80 : 0) | ((~second & 15) << 3) | 4 | prefix));
        Byte((byte)(0x40 | ((second & 16) != 0 ? 0 : 8)));
    }

    // A one-byte displacement counts whole vectors.
    private void CompressedOperand(int reg, int baseRegister, int displacement)
    {
        int count = displacement / ZmmBytes;
        bool isShort = displacement % ZmmBytes == 0 && count == (sbyte)count;
        Byte((byte)((isShort ? 0x40 : 0x80) | ((reg & 7) << 3) | (baseRegister & 7)));
        if ((baseRegister & 7) == HostRegister.Rsp)
        {
            Byte(0x24);
        }

        Displacement(isShort ? 0x40 : 0x80, isShort ? count : displacement);
    }
}
