using System;
using Hypervisor.Cpu.State;
using Iced.Intel;
using static Hypervisor.TestKit.Oracle.OracleLayout;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.TestKit.Oracle;

/// <summary>The registers of AVX-512 in a part of a record: all of it does nothing where the host has none.</summary>
internal static unsafe class WideRegisters
{
    private const int MaskCount = 8;
    private const int VectorCount = 32;
    private const int VectorBytes = 64;
    private const int XmmAt = Extended + 160;
    private const int UpperAt = Extended + 576;
    private const int HalfBytes = 16;

    private static readonly AssemblerRegisterK[] s_masks = [k0, k1, k2, k3, k4, k5, k6, k7];

    private static readonly AssemblerRegisterZMM[] s_vectors =
    [
        zmm0, zmm1, zmm2, zmm3, zmm4, zmm5, zmm6, zmm7, zmm8, zmm9, zmm10, zmm11, zmm12, zmm13, zmm14, zmm15, zmm16,
        zmm17, zmm18, zmm19, zmm20, zmm21, zmm22, zmm23, zmm24, zmm25, zmm26, zmm27, zmm28, zmm29, zmm30, zmm31,
    ];

    /// <summary>Random values for what the XSAVE area does not have.</summary>
    internal static void Fill(byte* part, InterestingValues values, Random random)
    {
        if (!HasWide)
        {
            return;
        }

        for (int i = 0; i < MaskCount; i++)
        {
            ((ulong*)(part + Masks))[i] = random.Next(6) switch
            {
                0 => 0,
                1 => ulong.MaxValue,
                2 => ulong.MaxValue >> random.Next(64),
                3 => ulong.MaxValue << random.Next(20),
                4 => 1ul << random.Next(20),
                _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
            };
        }

        for (int i = 0; i < VectorCount; i++)
        {
            var vector = new Span<byte>(part + Vectors + (VectorBytes * i), VectorBytes);
            switch (random.Next(8))
            {
                case 0:
                    vector.Clear();
                    break;
                case 1:
                    random.NextBytes(vector);
                    break;
                default:
                    values.Fill(vector);
                    break;
            }
        }
    }

    /// <summary>Copies the low halves of ZMM0 to ZMM15 from the XSAVE area: both say the same then.</summary>
    internal static void Join(byte* part)
    {
        for (int i = 0; i < 16 && HasWide; i++)
        {
            byte* vector = part + Vectors + (VectorBytes * i);
            new ReadOnlySpan<byte>(part + XmmAt + (HalfBytes * i), HalfBytes).CopyTo(
                new Span<byte>(vector, HalfBytes));
            new ReadOnlySpan<byte>(part + UpperAt + (HalfBytes * i), HalfBytes).CopyTo(
                new Span<byte>(vector + HalfBytes, HalfBytes));
        }
    }

    /// <summary>Emits: loads the registers from the part that RBX points to.</summary>
    internal static void EmitLoad(Assembler a)
    {
        for (int i = 0; i < MaskCount && HasWide; i++)
        {
            a.kmovq(s_masks[i], __qword_ptr[rbx + (Masks + (8 * i))]);
        }

        for (int i = 0; i < VectorCount && HasWide; i++)
        {
            a.vmovdqu64(s_vectors[i], __zmmword_ptr[rbx + (Vectors + (VectorBytes * i))]);
        }
    }

    /// <summary>Emits: saves the registers to the output part of the record that RBX points to.</summary>
    internal static void EmitSave(Assembler a)
    {
        for (int i = 0; i < MaskCount && HasWide; i++)
        {
            a.kmovq(__qword_ptr[rbx + (OutputAt + Masks + (8 * i))], s_masks[i]);
        }

        for (int i = 0; i < VectorCount && HasWide; i++)
        {
            a.vmovdqu64(__zmmword_ptr[rbx + (OutputAt + Vectors + (VectorBytes * i))], s_vectors[i]);
        }
    }

    /// <summary>Emits: brings back what a signal interrupted; RSI points to the frame's XSAVE area.</summary>
    internal static void EmitRestore(Assembler a)
    {
        const int SseAvxAndWide = 0xE6;
        if (HasWide)
        {
            a.mov(eax, SseAvxAndWide);
            a.xor(edx, edx);
            a.xrstor64(__[rsi]);
        }
    }

    /// <summary>Puts the registers of a part into an emulated CPU.</summary>
    internal static void Load(CpuState* state, byte* part)
    {
        if (HasWide)
        {
            new ReadOnlySpan<byte>(part + Masks, MaskCount * 8).CopyTo(new Span<byte>(state->Masks, MaskCount * 8));
            new ReadOnlySpan<byte>(part + Vectors, VectorCount * VectorBytes).CopyTo(
                new Span<byte>(state->Vectors, VectorCount * VectorBytes));
        }
    }

    /// <summary>The same, the other way.</summary>
    internal static void Store(CpuState* state, byte* part)
    {
        if (HasWide)
        {
            new ReadOnlySpan<byte>(state->Masks, MaskCount * 8).CopyTo(new Span<byte>(part + Masks, MaskCount * 8));
            new ReadOnlySpan<byte>(state->Vectors, VectorCount * VectorBytes).CopyTo(
                new Span<byte>(part + Vectors, VectorCount * VectorBytes));
        }
    }

    /// <summary>
    /// Calls <paramref name="check"/> with the mask registers and the vectors from <paramref name="firstVector"/>.
    /// </summary>
    internal static void Compare(byte* expected, byte* actual, int firstVector, RegisterCheck check)
    {
        for (int i = 0; i < MaskCount && HasWide; i++)
        {
            check($"k{i}", expected + Masks + (8 * i), actual + Masks + (8 * i), 8);
        }

        for (int i = firstVector; i < VectorCount && HasWide; i++)
        {
            int at = Vectors + (VectorBytes * i);
            check($"zmm{i}", expected + at, actual + at, VectorBytes);
        }
    }

    /// <summary>Compares a register.</summary>
    internal delegate void RegisterCheck(string name, byte* expected, byte* actual, int bytes);
}
