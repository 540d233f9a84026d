using Hypervisor.Cpu.Identification;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>Whether an encoding belongs to what the guest's CPU offers.</summary>
internal static class HostFeatures
{
    private const CpuFeature Never = (CpuFeature)(-1);
    private const CpuFeature Always = (CpuFeature)(-2);

    /// <summary>False: #UD.</summary>
    internal static bool IsOffered(Vcpu vcpu, Code code)
    {
        if (code.Encoding() is not (EncodingKind.Legacy or EncodingKind.VEX or EncodingKind.EVEX))
        {
            return false;
        }

        foreach (CpuidFeature needed in code.CpuidFeatures())
        {
            CpuFeature feature = Map(needed);
            if (feature == Never || (feature != Always && !vcpu.Features.Has(feature)))
            {
                return false;
            }
        }

        return true;
    }

    private static CpuFeature Map(CpuidFeature feature) => feature switch
    {
        CpuidFeature.FPU or CpuidFeature.FPU287 or CpuidFeature.FPU387 => CpuFeature.Fpu,
        CpuidFeature.CMOV => CpuFeature.Cmov,
        CpuidFeature.MMX => CpuFeature.Mmx,
        CpuidFeature.FXSR => CpuFeature.Fxsr,
        CpuidFeature.SSE => CpuFeature.Sse,
        CpuidFeature.SSE2 => CpuFeature.Sse2,
        CpuidFeature.SSE3 => CpuFeature.Sse3,
        CpuidFeature.SSSE3 => CpuFeature.Ssse3,
        CpuidFeature.SSE4_1 => CpuFeature.Sse41,
        CpuidFeature.SSE4_2 => CpuFeature.Sse42,
        CpuidFeature.AES => CpuFeature.Aes,
        CpuidFeature.PCLMULQDQ => CpuFeature.Pclmulqdq,
        CpuidFeature.SHA => CpuFeature.Sha,
        CpuidFeature.POPCNT => CpuFeature.Popcnt,
        CpuidFeature.MOVBE => CpuFeature.Movbe,
        CpuidFeature.LZCNT => CpuFeature.Lzcnt,
        CpuidFeature.BMI1 => CpuFeature.Bmi1,
        CpuidFeature.BMI2 => CpuFeature.Bmi2,
        CpuidFeature.ADX => CpuFeature.Adx,
        CpuidFeature.AVX => CpuFeature.Avx,
        CpuidFeature.AVX2 => CpuFeature.Avx2,
        CpuidFeature.AVX512F => CpuFeature.Avx512F,
        CpuidFeature.AVX512BW => CpuFeature.Avx512Bw,
        CpuidFeature.AVX512CD => CpuFeature.Avx512Cd,
        CpuidFeature.AVX512DQ => CpuFeature.Avx512Dq,
        CpuidFeature.AVX512VL => CpuFeature.Avx512Vl,
        CpuidFeature.AVX512_IFMA => CpuFeature.Avx512Ifma,
        CpuidFeature.AVX512_VBMI => CpuFeature.Avx512Vbmi,
        CpuidFeature.AVX512_VBMI2 => CpuFeature.Avx512Vbmi2,
        CpuidFeature.AVX512_VNNI => CpuFeature.Avx512Vnni,
        CpuidFeature.AVX512_BITALG => CpuFeature.Avx512Bitalg,
        CpuidFeature.AVX512_VPOPCNTDQ => CpuFeature.Avx512Vpopcntdq,
        CpuidFeature.GFNI => CpuFeature.Gfni,
        CpuidFeature.VAES => CpuFeature.Vaes,
        CpuidFeature.VPCLMULQDQ => CpuFeature.Vpclmulqdq,
        CpuidFeature.F16C => CpuFeature.F16c,
        CpuidFeature.FMA => CpuFeature.Fma,
        CpuidFeature.CX8 => CpuFeature.Cmpxchg8B,
        CpuidFeature.CMPXCHG16B => CpuFeature.Cmpxchg16B,
        CpuidFeature.XSAVE => CpuFeature.Xsave,
        CpuidFeature.XSAVEOPT => CpuFeature.Xsaveopt,
        CpuidFeature.XSAVEC => CpuFeature.Xsavec,
        CpuidFeature.INTEL8086 or CpuidFeature.INTEL186 or CpuidFeature.INTEL286 or CpuidFeature.INTEL386
            or CpuidFeature.INTEL486 or CpuidFeature.PAUSE or CpuidFeature.MULTIBYTENOP or CpuidFeature.X64 => Always,
        _ => Never,
    };
}
