using System;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>MMX and SSE to SSE4.2, AES, PCLMULQDQ, SHA, GFNI in legacy encoding, run as the host.</summary>
internal static unsafe class HostSse
{
    // No floating-point exceptions, no rounding.
    private static ReadOnlySpan<Mnemonic> Plain =>
    [
        Mnemonic.Aesdec, Mnemonic.Aesdeclast, Mnemonic.Aesenc, Mnemonic.Aesenclast, Mnemonic.Aesimc,
        Mnemonic.Aeskeygenassist, Mnemonic.Andnpd, Mnemonic.Andnps, Mnemonic.Andpd, Mnemonic.Andps,
        Mnemonic.Blendpd, Mnemonic.Blendps, Mnemonic.Blendvpd, Mnemonic.Blendvps, Mnemonic.Crc32,
        Mnemonic.Extractps, Mnemonic.Gf2p8affineinvqb, Mnemonic.Gf2p8affineqb, Mnemonic.Gf2p8mulb,
        Mnemonic.Insertps, Mnemonic.Movddup, Mnemonic.Movdq2q, Mnemonic.Movhlps, Mnemonic.Movhpd, Mnemonic.Movhps,
        Mnemonic.Movlhps, Mnemonic.Movlpd, Mnemonic.Movlps, Mnemonic.Movmskpd, Mnemonic.Movmskps,
        Mnemonic.Movnti, Mnemonic.Movntq, Mnemonic.Movq2dq, Mnemonic.Movshdup, Mnemonic.Movsldup,
        Mnemonic.Mpsadbw, Mnemonic.Orpd, Mnemonic.Orps, Mnemonic.Pabsb, Mnemonic.Pabsd, Mnemonic.Pabsw,
        Mnemonic.Packssdw, Mnemonic.Packsswb, Mnemonic.Packusdw, Mnemonic.Packuswb, Mnemonic.Paddb, Mnemonic.Paddd,
        Mnemonic.Paddq, Mnemonic.Paddsb, Mnemonic.Paddsw, Mnemonic.Paddusb, Mnemonic.Paddusw, Mnemonic.Paddw,
        Mnemonic.Palignr, Mnemonic.Pand, Mnemonic.Pandn, Mnemonic.Pavgb, Mnemonic.Pavgw, Mnemonic.Pblendvb,
        Mnemonic.Pblendw, Mnemonic.Pclmulqdq, Mnemonic.Pcmpeqb, Mnemonic.Pcmpeqd, Mnemonic.Pcmpeqq,
        Mnemonic.Pcmpeqw, Mnemonic.Pcmpestri, Mnemonic.Pcmpestri64, Mnemonic.Pcmpestrm, Mnemonic.Pcmpestrm64,
        Mnemonic.Pcmpgtb, Mnemonic.Pcmpgtd, Mnemonic.Pcmpgtq, Mnemonic.Pcmpgtw, Mnemonic.Pcmpistri,
        Mnemonic.Pcmpistrm, Mnemonic.Pextrb, Mnemonic.Pextrd, Mnemonic.Pextrq, Mnemonic.Pextrw, Mnemonic.Phaddd,
        Mnemonic.Phaddsw, Mnemonic.Phaddw, Mnemonic.Phminposuw, Mnemonic.Phsubd, Mnemonic.Phsubsw, Mnemonic.Phsubw,
        Mnemonic.Pinsrb, Mnemonic.Pinsrd, Mnemonic.Pinsrq, Mnemonic.Pinsrw, Mnemonic.Pmaddubsw, Mnemonic.Pmaddwd,
        Mnemonic.Pmaxsb, Mnemonic.Pmaxsd, Mnemonic.Pmaxsw, Mnemonic.Pmaxub, Mnemonic.Pmaxud, Mnemonic.Pmaxuw,
        Mnemonic.Pminsb, Mnemonic.Pminsd, Mnemonic.Pminsw, Mnemonic.Pminub, Mnemonic.Pminud, Mnemonic.Pminuw,
        Mnemonic.Pmovmskb, Mnemonic.Pmovsxbd, Mnemonic.Pmovsxbq, Mnemonic.Pmovsxbw, Mnemonic.Pmovsxdq,
        Mnemonic.Pmovsxwd, Mnemonic.Pmovsxwq, Mnemonic.Pmovzxbd, Mnemonic.Pmovzxbq, Mnemonic.Pmovzxbw,
        Mnemonic.Pmovzxdq, Mnemonic.Pmovzxwd, Mnemonic.Pmovzxwq, Mnemonic.Pmuldq, Mnemonic.Pmulhrsw,
        Mnemonic.Pmulhuw, Mnemonic.Pmulhw, Mnemonic.Pmulld, Mnemonic.Pmullw, Mnemonic.Pmuludq, Mnemonic.Por,
        Mnemonic.Psadbw, Mnemonic.Pshufb, Mnemonic.Pshufd, Mnemonic.Pshufhw, Mnemonic.Pshuflw, Mnemonic.Pshufw,
        Mnemonic.Psignb, Mnemonic.Psignd, Mnemonic.Psignw, Mnemonic.Pslld, Mnemonic.Pslldq, Mnemonic.Psllq,
        Mnemonic.Psllw, Mnemonic.Psrad, Mnemonic.Psraw, Mnemonic.Psrld, Mnemonic.Psrldq, Mnemonic.Psrlq,
        Mnemonic.Psrlw, Mnemonic.Psubb, Mnemonic.Psubd, Mnemonic.Psubq, Mnemonic.Psubsb, Mnemonic.Psubsw,
        Mnemonic.Psubusb, Mnemonic.Psubusw, Mnemonic.Psubw, Mnemonic.Ptest, Mnemonic.Punpckhbw, Mnemonic.Punpckhdq,
        Mnemonic.Punpckhqdq, Mnemonic.Punpckhwd, Mnemonic.Punpcklbw, Mnemonic.Punpckldq, Mnemonic.Punpcklqdq,
        Mnemonic.Punpcklwd, Mnemonic.Rcpps, Mnemonic.Rcpss, Mnemonic.Rsqrtps, Mnemonic.Rsqrtss, Mnemonic.Sha1msg1,
        Mnemonic.Sha1msg2, Mnemonic.Sha1nexte, Mnemonic.Sha1rnds4, Mnemonic.Sha256msg1, Mnemonic.Sha256msg2,
        Mnemonic.Sha256rnds2, Mnemonic.Shufpd, Mnemonic.Shufps, Mnemonic.Unpckhpd, Mnemonic.Unpckhps,
        Mnemonic.Unpcklpd, Mnemonic.Unpcklps,
    ];

    // Depends on MXCSR.
    private static ReadOnlySpan<Mnemonic> Float =>
    [
        Mnemonic.Addpd, Mnemonic.Addps, Mnemonic.Addsd, Mnemonic.Addss, Mnemonic.Addsubpd, Mnemonic.Addsubps,
        Mnemonic.Cmppd, Mnemonic.Cmpps, Mnemonic.Cmpss, Mnemonic.Comisd, Mnemonic.Comiss, Mnemonic.Cvtdq2pd,
        Mnemonic.Cvtdq2ps, Mnemonic.Cvtpd2dq, Mnemonic.Cvtpd2pi, Mnemonic.Cvtpd2ps, Mnemonic.Cvtpi2pd,
        Mnemonic.Cvtpi2ps, Mnemonic.Cvtps2dq, Mnemonic.Cvtps2pd, Mnemonic.Cvtps2pi, Mnemonic.Cvtsd2si,
        Mnemonic.Cvtsd2ss, Mnemonic.Cvtsi2sd, Mnemonic.Cvtsi2ss, Mnemonic.Cvtss2sd, Mnemonic.Cvtss2si,
        Mnemonic.Cvttpd2dq, Mnemonic.Cvttpd2pi, Mnemonic.Cvttps2dq, Mnemonic.Cvttps2pi, Mnemonic.Cvttsd2si,
        Mnemonic.Cvttss2si, Mnemonic.Divpd, Mnemonic.Divps, Mnemonic.Divsd, Mnemonic.Divss, Mnemonic.Dppd,
        Mnemonic.Dpps, Mnemonic.Haddpd, Mnemonic.Haddps, Mnemonic.Hsubpd, Mnemonic.Hsubps, Mnemonic.Maxpd,
        Mnemonic.Maxps, Mnemonic.Maxsd, Mnemonic.Maxss, Mnemonic.Minpd, Mnemonic.Minps, Mnemonic.Minsd,
        Mnemonic.Minss, Mnemonic.Mulpd, Mnemonic.Mulps, Mnemonic.Mulsd, Mnemonic.Mulss, Mnemonic.Roundpd,
        Mnemonic.Roundps, Mnemonic.Roundsd, Mnemonic.Roundss, Mnemonic.Sqrtpd, Mnemonic.Sqrtps, Mnemonic.Sqrtsd,
        Mnemonic.Sqrtss, Mnemonic.Subpd, Mnemonic.Subps, Mnemonic.Subsd, Mnemonic.Subss, Mnemonic.Ucomisd,
        Mnemonic.Ucomiss,
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
