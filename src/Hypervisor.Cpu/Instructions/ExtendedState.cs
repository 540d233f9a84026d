using System;
using System.Buffers.Binary;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Instructions;

/// <summary>Components of the extended state, between CpuState and the layouts of FXSAVE and XSAVE.</summary>
/// <remarks>
/// <code>
/// bit  component            standard offset  bytes
/// 0    x87                  0                FCW .. FDP, ST0 .. ST7 (160 bytes without MXCSR)
/// 1    XMM0 .. XMM15        160              256
/// 2    YMM upper halves     576              256
/// 5    k0 .. k7             1088             64
/// 6    ZMM0-15 upper halves 1152             512
/// 7    ZMM16 .. ZMM31       1664             1024
/// </code>
/// Spec: SDM volume 1, 13.4 and 13.5.
/// </remarks>
internal static unsafe class ExtendedState
{
    internal const ulong X87 = 1 << 0;
    internal const ulong Sse = 1 << 1;
    internal const ulong Avx = 1 << 2;

    /// <summary>Mask registers, upper halves, ZMM16 to ZMM31: all or none of them.</summary>
    internal const ulong Avx512 = 7 << 5;

    /// <summary>What must be enabled for VEX instructions on vectors.</summary>
    internal const ulong AvxUnit = Sse | Avx;

    /// <summary>What must be enabled for EVEX instructions and mask registers.</summary>
    internal const ulong Avx512Unit = AvxUnit | Avx512;

    internal const int LegacyBytes = 512;
    internal const int HeaderBytes = 64;
    internal const int AreaBytesMax = 2688;
    internal const int ComponentMax = 7;
    internal const uint DefaultMxcsr = 0x1F80;

    private const int VectorBytes = 64;

    /// <summary>Bits of XCR0 that exist.</summary>
    internal static ulong Supported(CpuFeatures features)
        => X87 | Sse | (features.Has(CpuFeature.Avx) ? Avx : 0) | (features.Has(CpuFeature.Avx512F) ? Avx512 : 0);

    /// <summary>Whether XCR0 may have this value on a CPU that knows all of its bits.</summary>
    internal static bool IsConsistent(ulong components)
        => (components & X87) != 0
            && ((components & Avx) == 0 || (components & Sse) != 0)
            && ((components & Avx512) == 0 || (components & Avx512Unit) == Avx512Unit);

    /// <summary>Where component <paramref name="index"/> (2 and up) is in the standard format.</summary>
    internal static int Offset(int index) => index switch
    {
        2 => 576,
        5 => 1088,
        6 => 1152,
        _ => 1664,
    };

    /// <summary>Bytes of component <paramref name="index"/> (2 and up).</summary>
    internal static int Size(int index) => index switch
    {
        2 => 256,
        5 => 64,
        6 => 512,
        7 => 1024,
        _ => 0,
    };

    /// <summary>XMM, YMM and ZMM registers that the mode reaches: 8 outside 64-bit mode.</summary>
    internal static int VectorCount(CpuState* state) => state->CodeMode == 2 ? 16 : 8;

    /// <summary>Puts component <paramref name="index"/> (2 and up) into <paramref name="target"/>.</summary>
    internal static void Save(CpuState* state, int index, Span<byte> target)
        => Move(state, index, target, isSaving: true);

    /// <summary>Takes component <paramref name="index"/> (2 and up) from <paramref name="source"/>.</summary>
    internal static void Load(CpuState* state, int index, Span<byte> source)
        => Move(state, index, source, isSaving: false);

    /// <summary>Puts component <paramref name="index"/> into its initial configuration.</summary>
    internal static void Initialize(CpuState* state, int index)
    {
        Span<byte> zero = stackalloc byte[1024];
        zero.Clear();
        switch (index)
        {
            case 0:
                FpuImage.Reset(state);
                break;
            case 1:
                MoveXmm(state, zero, isSaving: false);
                break;
            default:
                Load(state, index, zero);
                break;
        }
    }

    /// <summary>Components that are not in their initial configuration (XINUSE).</summary>
    internal static ulong InUse(CpuState* state, ulong among)
    {
        Span<byte> bytes = stackalloc byte[1024];
        ulong inUse = 0;
        for (int index = 0; index <= ComponentMax; index++)
        {
            if ((among & (1ul << index)) == 0)
            {
                continue;
            }

            bytes.Clear();
            switch (index)
            {
                case 0:
                    SaveFpu(state, bytes, wide: true);
                    BinaryPrimitives.WriteUInt16LittleEndian(
                        bytes, (ushort)(FpuImage.Control(state) ^ FpuImage.DefaultControl));
                    break;
                case 1:
                    MoveXmm(state, bytes, isSaving: true);
                    break;
                default:
                    Save(state, index, bytes);
                    break;
            }

            inUse |= bytes.ContainsAnyExcept((byte)0) ? 1ul << index : 0;
        }

        return inUse;
    }

    /// <summary>x87 part of the legacy area: bytes 0-23 and 32-159, the reserved ones as 0.</summary>
    internal static void SaveFpu(CpuState* state, Span<byte> legacy, bool wide)
    {
        new ReadOnlySpan<byte>(state->Fpu, 24).CopyTo(legacy);
        legacy[5] = 0;
        if (!wide)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(legacy[12..], 0); // FCS is 0
            BinaryPrimitives.WriteUInt32LittleEndian(legacy[20..], 0);
        }

        for (int i = 0; i < 8; i++)
        {
            new ReadOnlySpan<byte>(FpuImage.Register(state, i), 10).CopyTo(legacy[(32 + (16 * i))..]);
            legacy.Slice(32 + (16 * i) + 10, 6).Clear();
        }
    }

    /// <summary>Takes the x87 part of the legacy area.</summary>
    internal static void LoadFpu(CpuState* state, ReadOnlySpan<byte> legacy, bool wide)
    {
        legacy[..24].CopyTo(new Span<byte>(state->Fpu, 24));
        state->Fpu[5] = 0;
        FpuImage.Control(state) = FpuImage.Canonical(FpuImage.Control(state));
        FpuImage.Opcode(state) &= 0x7FF;
        FpuImage.UpdateSummary(state);
        if (!wide)
        {
            FpuImage.InstructionPointer(state) = (uint)FpuImage.InstructionPointer(state);
            FpuImage.OperandPointer(state) = (uint)FpuImage.OperandPointer(state);
        }

        for (int i = 0; i < 8; i++)
        {
            legacy.Slice(32 + (16 * i), 10).CopyTo(new Span<byte>(FpuImage.Register(state, i), 10));
        }
    }

    /// <summary>XMM registers to or from bytes that start with XMM0.</summary>
    internal static void MoveXmm(CpuState* state, Span<byte> bytes, bool isSaving)
    {
        for (int i = 0; i < VectorCount(state); i++)
        {
            Copy(state->Vectors + (VectorBytes * i), bytes.Slice(16 * i, 16), isSaving);
        }
    }

    private static void Move(CpuState* state, int index, Span<byte> bytes, bool isSaving)
    {
        if (index == 5)
        {
            Copy((byte*)state->Masks, bytes[..64], isSaving);
            return;
        }

        (int first, int count, int at, int size) = index switch
        {
            2 => (0, VectorCount(state), 16, 16),
            6 => (0, VectorCount(state), 32, 32),
            _ => (16, state->CodeMode == 2 ? 16 : 0, 0, 64),
        };
        for (int i = 0; i < count; i++)
        {
            Copy(state->Vectors + (VectorBytes * (first + i)) + at, bytes.Slice(size * i, size), isSaving);
        }
    }

    private static void Copy(byte* register, Span<byte> bytes, bool isSaving)
    {
        var span = new Span<byte>(register, bytes.Length);
        if (isSaving)
        {
            span.CopyTo(bytes);
        }
        else
        {
            bytes.CopyTo(span);
        }
    }
}
