using System;
using System.Text;
using Hypervisor.Cpu.Instructions;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Identification;

/// <summary>What CPUID answers. Spec: SDM volume 2, CPUID; 4000_00xxH: the convention of hypervisors.</summary>
internal sealed unsafe class CpuIdentification(Vcpu vcpu)
{
    private const uint LastBasic = 0x16;
    private const uint LastExtended = 0x8000_0008;
    private const uint LastHypervisor = 0x4000_0010;

    // Family 6, model 55H, stepping 7: a server model whose software quirks are known; see MsrCatalog's immunities.
    private const uint Signature = 0x0005_0657;

    private const uint ClflushBytes = 64;
    private const uint OsXsave = 1 << 27;
    private const uint MonitorBit = 1 << 3;
    private const uint MonitorLineBytes = 64;
    private const uint TscMegahertz = 1000;
    private const uint BusMegahertz = 100;
    private const uint CrystalHertz = 1_000_000_000;
    private const uint TscKilohertz = 1_000_000;
    private const uint ApicKilohertz = 1_000_000;
    private const uint LinearAddressBits = 48;

    private static readonly byte[] s_brand
        = Encoding.ASCII.GetBytes("Hypervisor x86-64 vCPU @ 1.00GHz".PadRight(48, '\0'));

    private readonly CpuState* _state = vcpu.State;
    private readonly CpuFeatures _features = vcpu.Features;

    /// <summary>EAX, EBX, ECX, EDX of a leaf; one past the last basic leaf answers as that one.</summary>
    internal (uint Eax, uint Ebx, uint Ecx, uint Edx) Read(uint leaf, uint subleaf)
    {
        if (leaf is >= 0x4000_0000 and <= 0x4000_FFFF)
        {
            return ReadHypervisor(leaf);
        }

        return leaf >= 0x8000_0000 && leaf <= LastExtended
            ? ReadExtended(leaf)
            : ReadBasic(leaf > LastBasic ? LastBasic : leaf, subleaf);
    }

    private (uint Eax, uint Ebx, uint Ecx, uint Edx) ReadBasic(uint leaf, uint subleaf) => leaf switch
    {
        0 => (LastBasic, Chars("Genu"), Chars("ntel"), Chars("ineI")),
        1 => (Signature, Leaf1Ebx, Leaf1Ecx, Leaf1Edx),
        2 => (0x00F0_FF01, 0, 0, 0), // caches: see leaf 4; 64-byte prefetch
        4 => ReadCache(subleaf),
        5 => ReadMonitor(),
        6 => (Word(FeatureWord.Leaf6Eax), 0, 0, 0),
        7 when subleaf == 0 => (2, Word(FeatureWord.Leaf7Ebx), Word(FeatureWord.Leaf7Ecx), Word(FeatureWord.Leaf7Edx)),
        7 when subleaf == 2 => (0, 0, 0, Word(FeatureWord.Leaf7Sub2Edx)),
        0xB => ReadTopology(subleaf),
        0xD when _features.Has(CpuFeature.Xsave) => ReadExtendedState(subleaf),
        0x15 => (1, 1, CrystalHertz, 0),
        0x16 => (TscMegahertz, TscMegahertz, BusMegahertz, 0),
        _ => (0, 0, 0, 0), // 0AH: no architectural performance monitoring
    };

    private uint Leaf1Ebx => ((ClflushBytes / 8) << 8) | (1u << 16) | ((uint)vcpu.Index << 24);

    // OSXSAVE mirrors CR4; MONITOR, the switch in IA32_MISC_ENABLE.
    private uint Leaf1Ecx
        => (Word(FeatureWord.Leaf1Ecx) & ~(vcpu.Msrs.IsMonitorEnabled ? 0 : MonitorBit))
            | ((_state->Cr4 & Cr4.XsaveEnable) != 0 ? OsXsave : 0);

    // The APIC bit is clear while the APIC is off.
    private uint Leaf1Edx
    {
        get
        {
            bool isOn = (vcpu.LocalApic.Base & Interrupts.LocalApic.BaseEnabled) != 0;
            return Word(FeatureWord.Leaf1Edx) & ~(isOn ? 0 : 1u << 9);
        }
    }

    private uint Word(int index) => _features.Words[index];

    private static uint Chars(string four)
        => four[0] | ((uint)four[1] << 8) | ((uint)four[2] << 16) | ((uint)four[3] << 24);

    // 32 KiB data and code, 1 MiB unified, all of one core: ways - 1, partitions - 1, line - 1; sets - 1.
    private static (uint Eax, uint Ebx, uint Ecx, uint Edx) ReadCache(uint subleaf) => subleaf switch
    {
        0 => (0x121, (7u << 22) | 63, 63, 0),
        1 => (0x122, (7u << 22) | 63, 63, 0),
        2 => (0x143, (15u << 22) | 63, 1023, 0),
        _ => (0, 0, 0, 0),
    };

    // Interrupts may end MWAIT while IF is 0. No C-state is listed: HLT idles as well, and needs no watched page.
    private (uint Eax, uint Ebx, uint Ecx, uint Edx) ReadMonitor()
        => _features.Has(CpuFeature.Monitor) ? (MonitorLineBytes, MonitorLineBytes, 3u, 0u) : (0u, 0u, 0u, 0u);

    // Every vCPU is a package of its own: no thread and no core bits.
    private (uint Eax, uint Ebx, uint Ecx, uint Edx) ReadTopology(uint subleaf) => subleaf switch
    {
        0 => (0, 1, 0x100, (uint)vcpu.Index),
        1 => (0, 1, 0x201, (uint)vcpu.Index),
        _ => (0, 0, subleaf & 0xFF, (uint)vcpu.Index),
    };

    private (uint Eax, uint Ebx, uint Ecx, uint Edx) ReadExtendedState(uint subleaf)
    {
        ulong supported = ExtendedState.Supported(_features);
        switch (subleaf)
        {
            case 0:
                return ((uint)supported, (uint)Xsave.StandardBytes(_state->Xcr0), (uint)Xsave.StandardBytes(supported),
                    (uint)(supported >> 32));
            case 1:
                bool compacts = _features.Has(CpuFeature.Xsavec);
                uint compacted = (uint)Xsave.CompactedBytes(_state->Xcr0);
                return (Word(FeatureWord.LeafD1Eax), compacts ? compacted : 0, 0, 0);
            case >= 2 and <= ExtendedState.ComponentMax when (supported & (1ul << (int)subleaf)) != 0:
                return ((uint)ExtendedState.Size((int)subleaf), (uint)ExtendedState.Offset((int)subleaf), 0, 0);
            default:
                return (0, 0, 0, 0);
        }
    }

    private static (uint Eax, uint Ebx, uint Ecx, uint Edx) ReadHypervisor(uint leaf) => leaf switch
    {
        0x4000_0000 => (LastHypervisor, Chars("Hype"), Chars("rvis"), Chars("orFT")),
        LastHypervisor => (TscKilohertz, ApicKilohertz, 0, 0),
        _ => (0, 0, 0, 0),
    };

    private (uint Eax, uint Ebx, uint Ecx, uint Edx) ReadExtended(uint leaf) => leaf switch
    {
        0x8000_0000 => (LastExtended, 0, 0, 0),
        0x8000_0001 => (0, 0, Word(FeatureWord.Extended1Ecx), ExtendedEdx),
        >= 0x8000_0002 and <= 0x8000_0004 => ReadBrand((int)(leaf - 0x8000_0002)),
        0x8000_0006 => (0, 0, (1024u << 16) | (8 << 12) | 64, 0), // 1 MiB, 16-way, 64-byte lines
        0x8000_0007 => (0, 0, 0, Word(FeatureWord.Extended7Edx)),
        0x8000_0008 => ((LinearAddressBits << 8) | Paging.PageWalk.PhysicalAddressBits, 0, 0, 0),
        _ => (0, 0, 0, 0),
    };

    // On Intel's CPUs SYSCALL shows in 64-bit mode only, where alone it works.
    private uint ExtendedEdx
        => Word(FeatureWord.Extended1Edx) & ~(_state->CodeMode == 2 ? 0 : 1u << 11);

    private static (uint Eax, uint Ebx, uint Ecx, uint Edx) ReadBrand(int part)
    {
        ReadOnlySpan<byte> text = s_brand.AsSpan(part * 16, 16);
        return (BitConverter.ToUInt32(text), BitConverter.ToUInt32(text[4..]), BitConverter.ToUInt32(text[8..]),
            BitConverter.ToUInt32(text[12..]));
    }
}
