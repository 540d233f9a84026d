using System;
using System.Collections.Generic;
using System.Runtime.Intrinsics.X86;

namespace Hypervisor.Cpu.Identification;

/// <summary>What a vCPU can do: a set of <see cref="CpuFeature"/>, never changed.</summary>
public sealed class CpuFeatures
{
    // F, DQ, IFMA, PF, ER, CD, BW, VL.
    private const uint Avx512Bits = 0xDC23_0000;

    private readonly uint[] _words;

    /// <summary>The set of <paramref name="features"/>.</summary>
    public CpuFeatures(IEnumerable<CpuFeature> features)
    {
        _words = new uint[FeatureWord.Count];
        foreach (CpuFeature feature in features)
        {
            _words[(int)feature >> 5] |= 1u << ((int)feature & 31);
        }
    }

    private CpuFeatures(uint[] words) => _words = words;

    /// <summary>What the processor under us says of itself; AVX-512 only if the OS keeps its registers.</summary>
    public static CpuFeatures Host { get; } = ReadHost();

    /// <summary>
    /// The set as words in <see cref="FeatureWord"/> order: what two hosts compare before one takes over.
    /// </summary>
    public ReadOnlySpan<uint> Words => _words;

    /// <summary>Whether the set has <paramref name="feature"/>.</summary>
    public bool Has(CpuFeature feature) => (_words[(int)feature >> 5] & (1u << ((int)feature & 31))) != 0;

    /// <summary>Whether every feature of <paramref name="other"/> is in this set.</summary>
    public bool HasAll(CpuFeatures other)
    {
        for (int i = 0; i < FeatureWord.Count; i++)
        {
            if ((other._words[i] & ~_words[i]) != 0)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Features of either set.</summary>
    internal CpuFeatures Union(CpuFeatures other) => Combine(other, static (left, right) => left | right);

    /// <summary>Features of both sets.</summary>
    internal CpuFeatures Intersect(CpuFeatures other) => Combine(other, static (left, right) => left & right);

    private CpuFeatures Combine(CpuFeatures other, Func<uint, uint, uint> combine)
    {
        uint[] words = new uint[FeatureWord.Count];
        for (int i = 0; i < words.Length; i++)
        {
            words[i] = combine(_words[i], other._words[i]);
        }

        return new CpuFeatures(words);
    }

    private static CpuFeatures ReadHost()
    {
        uint[] words = new uint[FeatureWord.Count];
        uint last = (uint)X86Base.CpuId(0, 0).Eax;
        uint lastExtended = (uint)X86Base.CpuId(unchecked((int)0x8000_0000), 0).Eax;
        (_, _, int leaf1Ecx, int leaf1Edx) = X86Base.CpuId(1, 0);
        words[FeatureWord.Leaf1Ecx] = (uint)leaf1Ecx;
        words[FeatureWord.Leaf1Edx] = (uint)leaf1Edx;
        if (last >= 7)
        {
            (_, int ebx, int ecx, int edx) = X86Base.CpuId(7, 0);
            words[FeatureWord.Leaf7Ebx] = Avx512F.IsSupported ? (uint)ebx : (uint)ebx & ~Avx512Bits;
            words[FeatureWord.Leaf7Ecx] = (uint)ecx;
            words[FeatureWord.Leaf7Edx] = (uint)edx;
        }

        if (last >= 0xD)
        {
            words[FeatureWord.LeafD1Eax] = (uint)X86Base.CpuId(0xD, 1).Eax;
        }

        if (lastExtended >= 0x8000_0001)
        {
            (_, _, int ecx, int edx) = X86Base.CpuId(unchecked((int)0x8000_0001), 0);
            words[FeatureWord.Extended1Ecx] = (uint)ecx;
            words[FeatureWord.Extended1Edx] = (uint)edx;
        }

        return new CpuFeatures(words);
    }
}
