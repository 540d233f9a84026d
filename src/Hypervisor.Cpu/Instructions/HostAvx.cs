using System;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>AVX, AVX2, F16C, FMA, VAES, VPCLMULQDQ, GFNI in VEX encoding, run as the host.</summary>
internal static unsafe class HostAvx
{
    // No floating-point exceptions, no rounding.
    private static ReadOnlySpan<Mnemonic> Plain =>
    [
        Mnemonic.Vaesdec, Mnemonic.Vaesdeclast, Mnemonic.Vaesenc, Mnemonic.Vaesenclast, Mnemonic.Vaesimc,
        Mnemonic.Vaeskeygenassist, Mnemonic.Vandnpd, Mnemonic.Vandnps, Mnemonic.Vandpd, Mnemonic.Vandps,
        Mnemonic.Vblendpd, Mnemonic.Vblendps, Mnemonic.Vblendvpd, Mnemonic.Vblendvps, Mnemonic.Vbroadcastf128,
        Mnemonic.Vbroadcasti128, Mnemonic.Vbroadcastsd, Mnemonic.Vbroadcastss, Mnemonic.Vextractf128,
        Mnemonic.Vextracti128, Mnemonic.Vextractps, Mnemonic.Vgf2p8affineinvqb, Mnemonic.Vgf2p8affineqb,
        Mnemonic.Vgf2p8mulb, Mnemonic.Vinsertf128, Mnemonic.Vinserti128, Mnemonic.Vinsertps,
        Mnemonic.Vmovddup, Mnemonic.Vmovhlps, Mnemonic.Vmovhpd, Mnemonic.Vmovhps, Mnemonic.Vmovlhps,
        Mnemonic.Vmovlpd, Mnemonic.Vmovlps, Mnemonic.Vmovmskpd, Mnemonic.Vmovmskps,
        Mnemonic.Vmovsd, Mnemonic.Vmovshdup, Mnemonic.Vmovsldup, Mnemonic.Vmovss, Mnemonic.Vmpsadbw,
        Mnemonic.Vorpd, Mnemonic.Vorps, Mnemonic.Vpabsb, Mnemonic.Vpabsd, Mnemonic.Vpabsw, Mnemonic.Vpackssdw,
        Mnemonic.Vpacksswb, Mnemonic.Vpackusdw, Mnemonic.Vpackuswb, Mnemonic.Vpaddb, Mnemonic.Vpaddd,
        Mnemonic.Vpaddq, Mnemonic.Vpaddsb, Mnemonic.Vpaddsw, Mnemonic.Vpaddusb, Mnemonic.Vpaddusw, Mnemonic.Vpaddw,
        Mnemonic.Vpalignr, Mnemonic.Vpand, Mnemonic.Vpandn, Mnemonic.Vpavgb, Mnemonic.Vpavgw, Mnemonic.Vpblendd,
        Mnemonic.Vpblendvb, Mnemonic.Vpblendw, Mnemonic.Vpbroadcastb, Mnemonic.Vpbroadcastd, Mnemonic.Vpbroadcastq,
        Mnemonic.Vpbroadcastw, Mnemonic.Vpclmulqdq, Mnemonic.Vpcmpeqb, Mnemonic.Vpcmpeqd, Mnemonic.Vpcmpeqq,
        Mnemonic.Vpcmpeqw, Mnemonic.Vpcmpestri, Mnemonic.Vpcmpestri64, Mnemonic.Vpcmpestrm, Mnemonic.Vpcmpestrm64,
        Mnemonic.Vpcmpgtb, Mnemonic.Vpcmpgtd, Mnemonic.Vpcmpgtq, Mnemonic.Vpcmpgtw, Mnemonic.Vpcmpistri,
        Mnemonic.Vpcmpistrm, Mnemonic.Vperm2f128, Mnemonic.Vperm2i128, Mnemonic.Vpermd, Mnemonic.Vpermilpd,
        Mnemonic.Vpermilps, Mnemonic.Vpermpd, Mnemonic.Vpermps, Mnemonic.Vpermq, Mnemonic.Vpextrb, Mnemonic.Vpextrd,
        Mnemonic.Vpextrq, Mnemonic.Vpextrw, Mnemonic.Vphaddd, Mnemonic.Vphaddsw, Mnemonic.Vphaddw,
        Mnemonic.Vphminposuw, Mnemonic.Vphsubd, Mnemonic.Vphsubsw, Mnemonic.Vphsubw, Mnemonic.Vpinsrb,
        Mnemonic.Vpinsrd, Mnemonic.Vpinsrq, Mnemonic.Vpinsrw, Mnemonic.Vpmaddubsw, Mnemonic.Vpmaddwd,
        Mnemonic.Vpmaxsb, Mnemonic.Vpmaxsd, Mnemonic.Vpmaxsw, Mnemonic.Vpmaxub, Mnemonic.Vpmaxud, Mnemonic.Vpmaxuw,
        Mnemonic.Vpminsb, Mnemonic.Vpminsd, Mnemonic.Vpminsw, Mnemonic.Vpminub, Mnemonic.Vpminud, Mnemonic.Vpminuw,
        Mnemonic.Vpmovmskb, Mnemonic.Vpmovsxbd, Mnemonic.Vpmovsxbq, Mnemonic.Vpmovsxbw, Mnemonic.Vpmovsxdq,
        Mnemonic.Vpmovsxwd, Mnemonic.Vpmovsxwq, Mnemonic.Vpmovzxbd, Mnemonic.Vpmovzxbq, Mnemonic.Vpmovzxbw,
        Mnemonic.Vpmovzxdq, Mnemonic.Vpmovzxwd, Mnemonic.Vpmovzxwq, Mnemonic.Vpmuldq, Mnemonic.Vpmulhrsw,
        Mnemonic.Vpmulhuw, Mnemonic.Vpmulhw, Mnemonic.Vpmulld, Mnemonic.Vpmullw, Mnemonic.Vpmuludq, Mnemonic.Vpor,
        Mnemonic.Vpsadbw, Mnemonic.Vpshufb, Mnemonic.Vpshufd, Mnemonic.Vpshufhw, Mnemonic.Vpshuflw,
        Mnemonic.Vpsignb, Mnemonic.Vpsignd, Mnemonic.Vpsignw, Mnemonic.Vpslld, Mnemonic.Vpslldq, Mnemonic.Vpsllq,
        Mnemonic.Vpsllvd, Mnemonic.Vpsllvq, Mnemonic.Vpsllw, Mnemonic.Vpsrad, Mnemonic.Vpsravd, Mnemonic.Vpsraw,
        Mnemonic.Vpsrld, Mnemonic.Vpsrldq, Mnemonic.Vpsrlq, Mnemonic.Vpsrlvd, Mnemonic.Vpsrlvq, Mnemonic.Vpsrlw,
        Mnemonic.Vpsubb, Mnemonic.Vpsubd, Mnemonic.Vpsubq, Mnemonic.Vpsubsb, Mnemonic.Vpsubsw, Mnemonic.Vpsubusb,
        Mnemonic.Vpsubusw, Mnemonic.Vpsubw, Mnemonic.Vptest, Mnemonic.Vpunpckhbw, Mnemonic.Vpunpckhdq,
        Mnemonic.Vpunpckhqdq, Mnemonic.Vpunpckhwd, Mnemonic.Vpunpcklbw, Mnemonic.Vpunpckldq, Mnemonic.Vpunpcklqdq,
        Mnemonic.Vpunpcklwd, Mnemonic.Vrcpps, Mnemonic.Vrcpss, Mnemonic.Vrsqrtps, Mnemonic.Vrsqrtss,
        Mnemonic.Vshufpd, Mnemonic.Vshufps, Mnemonic.Vtestpd, Mnemonic.Vtestps, Mnemonic.Vunpckhpd,
        Mnemonic.Vunpckhps, Mnemonic.Vunpcklpd, Mnemonic.Vunpcklps,
    ];

    // Depends on MXCSR.
    private static ReadOnlySpan<Mnemonic> Float =>
    [
        Mnemonic.Vaddpd, Mnemonic.Vaddps, Mnemonic.Vaddsd, Mnemonic.Vaddss, Mnemonic.Vaddsubpd, Mnemonic.Vaddsubps,
        Mnemonic.Vcmppd, Mnemonic.Vcmpps, Mnemonic.Vcmpsd, Mnemonic.Vcmpss, Mnemonic.Vcomisd, Mnemonic.Vcomiss,
        Mnemonic.Vcvtdq2pd, Mnemonic.Vcvtdq2ps, Mnemonic.Vcvtpd2dq, Mnemonic.Vcvtpd2ps, Mnemonic.Vcvtph2ps,
        Mnemonic.Vcvtps2dq, Mnemonic.Vcvtps2pd, Mnemonic.Vcvtps2ph, Mnemonic.Vcvtsd2si, Mnemonic.Vcvtsd2ss,
        Mnemonic.Vcvtsi2sd, Mnemonic.Vcvtsi2ss, Mnemonic.Vcvtss2sd, Mnemonic.Vcvtss2si, Mnemonic.Vcvttpd2dq,
        Mnemonic.Vcvttps2dq, Mnemonic.Vcvttsd2si, Mnemonic.Vcvttss2si, Mnemonic.Vdivpd, Mnemonic.Vdivps,
        Mnemonic.Vdivsd, Mnemonic.Vdivss, Mnemonic.Vdppd, Mnemonic.Vdpps, Mnemonic.Vfmadd132pd,
        Mnemonic.Vfmadd132ps, Mnemonic.Vfmadd132sd, Mnemonic.Vfmadd132ss, Mnemonic.Vfmadd213pd,
        Mnemonic.Vfmadd213ps, Mnemonic.Vfmadd213sd, Mnemonic.Vfmadd213ss, Mnemonic.Vfmadd231pd,
        Mnemonic.Vfmadd231ps, Mnemonic.Vfmadd231sd, Mnemonic.Vfmadd231ss, Mnemonic.Vfmaddsub132pd,
        Mnemonic.Vfmaddsub132ps, Mnemonic.Vfmaddsub213pd, Mnemonic.Vfmaddsub213ps, Mnemonic.Vfmaddsub231pd,
        Mnemonic.Vfmaddsub231ps, Mnemonic.Vfmsub132pd, Mnemonic.Vfmsub132ps, Mnemonic.Vfmsub132sd,
        Mnemonic.Vfmsub132ss, Mnemonic.Vfmsub213pd, Mnemonic.Vfmsub213ps, Mnemonic.Vfmsub213sd,
        Mnemonic.Vfmsub213ss, Mnemonic.Vfmsub231pd, Mnemonic.Vfmsub231ps, Mnemonic.Vfmsub231sd,
        Mnemonic.Vfmsub231ss, Mnemonic.Vfmsubadd132pd, Mnemonic.Vfmsubadd132ps, Mnemonic.Vfmsubadd213pd,
        Mnemonic.Vfmsubadd213ps, Mnemonic.Vfmsubadd231pd, Mnemonic.Vfmsubadd231ps, Mnemonic.Vfnmadd132pd,
        Mnemonic.Vfnmadd132ps, Mnemonic.Vfnmadd132sd, Mnemonic.Vfnmadd132ss, Mnemonic.Vfnmadd213pd,
        Mnemonic.Vfnmadd213ps, Mnemonic.Vfnmadd213sd, Mnemonic.Vfnmadd213ss, Mnemonic.Vfnmadd231pd,
        Mnemonic.Vfnmadd231ps, Mnemonic.Vfnmadd231sd, Mnemonic.Vfnmadd231ss, Mnemonic.Vfnmsub132pd,
        Mnemonic.Vfnmsub132ps, Mnemonic.Vfnmsub132sd, Mnemonic.Vfnmsub132ss, Mnemonic.Vfnmsub213pd,
        Mnemonic.Vfnmsub213ps, Mnemonic.Vfnmsub213sd, Mnemonic.Vfnmsub213ss, Mnemonic.Vfnmsub231pd,
        Mnemonic.Vfnmsub231ps, Mnemonic.Vfnmsub231sd, Mnemonic.Vfnmsub231ss, Mnemonic.Vhaddpd, Mnemonic.Vhaddps,
        Mnemonic.Vhsubpd, Mnemonic.Vhsubps, Mnemonic.Vmaxpd, Mnemonic.Vmaxps, Mnemonic.Vmaxsd, Mnemonic.Vmaxss,
        Mnemonic.Vminpd, Mnemonic.Vminps, Mnemonic.Vminsd, Mnemonic.Vminss, Mnemonic.Vmulpd, Mnemonic.Vmulps,
        Mnemonic.Vmulsd, Mnemonic.Vmulss, Mnemonic.Vroundpd, Mnemonic.Vroundps, Mnemonic.Vroundsd,
        Mnemonic.Vroundss, Mnemonic.Vsqrtpd, Mnemonic.Vsqrtps, Mnemonic.Vsqrtsd, Mnemonic.Vsqrtss, Mnemonic.Vsubpd,
        Mnemonic.Vsubps, Mnemonic.Vsubsd, Mnemonic.Vsubss, Mnemonic.Vucomisd, Mnemonic.Vucomiss,
    ];

    internal static void Define(TableBuilder table)
    {
        foreach (Mnemonic mnemonic in Plain)
        {
            table.Define(mnemonic, InstructionTraits.CopyToHost, &HostInstructions.Lower);
        }

        foreach (Mnemonic mnemonic in Float)
        {
            table.Define(
                mnemonic, InstructionTraits.CopyToHost | InstructionTraits.Float, &HostInstructions.LowerFloat);
        }
    }
}
