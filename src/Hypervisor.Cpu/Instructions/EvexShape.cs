using System;
using System.Collections.Generic;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>What lowering and translation must know about an EVEX encoding, found out from the decoder's tables.
/// </summary>
internal static class EvexShape
{
    private static readonly bool[] s_isFloat = FindFloat();

    // Whole vectors, by their names.
    private static readonly HashSet<Mnemonic> s_aligned =
    [
        Mnemonic.Vmovaps, Mnemonic.Vmovapd, Mnemonic.Vmovdqa32, Mnemonic.Vmovdqa64, Mnemonic.Vmovntps,
        Mnemonic.Vmovntpd, Mnemonic.Vmovntdq, Mnemonic.Vmovntdqa,
    ];

    private static readonly HashSet<Mnemonic> s_packed =
    [
        Mnemonic.Vcompressps, Mnemonic.Vcompresspd, Mnemonic.Vpcompressb, Mnemonic.Vpcompressw, Mnemonic.Vpcompressd,
        Mnemonic.Vpcompressq, Mnemonic.Vexpandps, Mnemonic.Vexpandpd, Mnemonic.Vpexpandb, Mnemonic.Vpexpandw,
        Mnemonic.Vpexpandd, Mnemonic.Vpexpandq,
    ];

    // Where elements of the result depend on any element of the operand, it is accessed whole under every mask.
    // Spec: SDM volume 2, 2.8.1, exception classes E4NF, E6NF and the like.
    private static readonly HashSet<Mnemonic> s_whole =
    [
        Mnemonic.Valignd, Mnemonic.Valignq, Mnemonic.Vdbpsadbw, Mnemonic.Vextractf32x4, Mnemonic.Vextractf32x8,
        Mnemonic.Vextractf64x2, Mnemonic.Vextractf64x4, Mnemonic.Vextracti32x4, Mnemonic.Vextracti32x8,
        Mnemonic.Vextracti64x2, Mnemonic.Vextracti64x4, Mnemonic.Vgf2p8affineinvqb, Mnemonic.Vgf2p8affineqb,
        Mnemonic.Vinsertf32x4, Mnemonic.Vinsertf32x8, Mnemonic.Vinsertf64x2, Mnemonic.Vinsertf64x4,
        Mnemonic.Vinserti32x4, Mnemonic.Vinserti32x8, Mnemonic.Vinserti64x2, Mnemonic.Vinserti64x4, Mnemonic.Vmovddup,
        Mnemonic.Vmovshdup, Mnemonic.Vmovsldup, Mnemonic.Vpackssdw, Mnemonic.Vpacksswb, Mnemonic.Vpackusdw,
        Mnemonic.Vpackuswb, Mnemonic.Vpalignr, Mnemonic.Vpconflictd, Mnemonic.Vpconflictq, Mnemonic.Vpermb,
        Mnemonic.Vpermd, Mnemonic.Vpermi2b, Mnemonic.Vpermi2d, Mnemonic.Vpermi2pd, Mnemonic.Vpermi2ps,
        Mnemonic.Vpermi2q, Mnemonic.Vpermi2w, Mnemonic.Vpermilpd, Mnemonic.Vpermilps, Mnemonic.Vpermpd,
        Mnemonic.Vpermps, Mnemonic.Vpermq, Mnemonic.Vpermt2b, Mnemonic.Vpermt2d, Mnemonic.Vpermt2pd, Mnemonic.Vpermt2ps,
        Mnemonic.Vpermt2q, Mnemonic.Vpermt2w, Mnemonic.Vpermw, Mnemonic.Vpmaddubsw, Mnemonic.Vpmaddwd,
        Mnemonic.Vpmultishiftqb, Mnemonic.Vpshufb, Mnemonic.Vpshufd, Mnemonic.Vpshufhw, Mnemonic.Vpshuflw,
        Mnemonic.Vpunpckhbw, Mnemonic.Vpunpckhdq, Mnemonic.Vpunpckhqdq, Mnemonic.Vpunpckhwd, Mnemonic.Vpunpcklbw,
        Mnemonic.Vpunpckldq, Mnemonic.Vpunpcklqdq, Mnemonic.Vpunpcklwd, Mnemonic.Vshuff32x4, Mnemonic.Vshuff64x2,
        Mnemonic.Vshufi32x4, Mnemonic.Vshufi64x2, Mnemonic.Vshufpd, Mnemonic.Vshufps, Mnemonic.Vunpckhpd,
        Mnemonic.Vunpckhps, Mnemonic.Vunpcklpd, Mnemonic.Vunpcklps,
    ];

    /// <summary>Whether an instruction reads MXCSR: it rounds, raises exceptions, or looks at denormals.</summary>
    internal static bool IsFloat(Mnemonic mnemonic) => s_isFloat[(int)mnemonic];

    /// <summary>Whether the memory operand must be aligned to its size.</summary>
    internal static bool NeedsAlignment(Mnemonic mnemonic) => s_aligned.Contains(mnemonic);

    /// <summary>How the mask decides what of the memory operand is accessed; false: all of it is.</summary>
    internal static bool TryGetMasked(in Instruction instruction, out MaskedAccess access)
    {
        access = default;
        if (!instruction.HasOpMask || s_whole.Contains(instruction.Mnemonic) || IsShiftCount(instruction))
        {
            return false;
        }

        // What is broadcast is what one bit stands for: where the low halves of elements count, more than these.
        OpCodeInfo info = instruction.Code.ToOpCode();
        int elementBytes = info.CanBroadcast
            ? info.BroadcastMemorySize.GetElementSize()
            : instruction.MemorySize.GetElementSize();
        int wholeBytes = instruction.MemorySize.GetSize();
        MaskedKind kind = MaskedKind.Elements;
        if (s_packed.Contains(instruction.Mnemonic))
        {
            kind = MaskedKind.Packed;
        }
        else if (instruction.IsBroadcast)
        {
            kind = MaskedKind.Repeated;
            wholeBytes = info.MemorySize.GetSize();
        }
        else if (IsBroadcasting(instruction.Mnemonic))
        {
            kind = MaskedKind.Repeated;
            wholeBytes = instruction.Op0Register.GetSize();
        }

        int mask = instruction.OpMask - Register.K0;
        access = MaskedAccess.Of(mask, elementBytes, wholeBytes / elementBytes, kind);
        return true;
    }

    // The same count for all elements.
    private static bool IsShiftCount(in Instruction instruction) => instruction.OpCount == 3
        && instruction.Op2Kind == OpKind.Memory
        && instruction.Mnemonic is Mnemonic.Vpsllw or Mnemonic.Vpslld or Mnemonic.Vpsllq or Mnemonic.Vpsraw
            or Mnemonic.Vpsrad or Mnemonic.Vpsraq or Mnemonic.Vpsrlw or Mnemonic.Vpsrld or Mnemonic.Vpsrlq;

    private static bool IsBroadcasting(Mnemonic mnemonic) => mnemonic is Mnemonic.Vpbroadcastb
        or Mnemonic.Vpbroadcastw or Mnemonic.Vpbroadcastd or Mnemonic.Vpbroadcastq or Mnemonic.Vbroadcastss
        or Mnemonic.Vbroadcastsd or Mnemonic.Vbroadcastf32x2 or Mnemonic.Vbroadcastf32x4 or Mnemonic.Vbroadcastf32x8
        or Mnemonic.Vbroadcastf64x2 or Mnemonic.Vbroadcastf64x4 or Mnemonic.Vbroadcasti32x2
        or Mnemonic.Vbroadcasti32x4 or Mnemonic.Vbroadcasti32x8 or Mnemonic.Vbroadcasti64x2
        or Mnemonic.Vbroadcasti64x4;

    // What can suppress exceptions in one of its forms can raise them in all. The others treat denormals as MXCSR says.
    private static bool[] FindFloat()
    {
        bool[] isFloat = new bool[Enum.GetValues<Mnemonic>().Length];
        foreach (Code code in Enum.GetValues<Code>())
        {
            if (code.Encoding() == EncodingKind.EVEX)
            {
                OpCodeInfo info = code.ToOpCode();
                isFloat[(int)code.Mnemonic()] |= info.CanUseRoundingControl || info.CanSuppressAllExceptions;
            }
        }

        foreach (Mnemonic mnemonic in (ReadOnlySpan<Mnemonic>)[
            Mnemonic.Vrcp14pd, Mnemonic.Vrcp14ps, Mnemonic.Vrcp14sd, Mnemonic.Vrcp14ss, Mnemonic.Vrsqrt14pd,
            Mnemonic.Vrsqrt14ps, Mnemonic.Vrsqrt14sd, Mnemonic.Vrsqrt14ss, Mnemonic.Vfpclasspd, Mnemonic.Vfpclassps,
            Mnemonic.Vfpclasssd, Mnemonic.Vfpclassss])
        {
            isFloat[(int)mnemonic] = true;
        }

        return isFloat;
    }
}
