using System.Collections.Generic;
using Hypervisor.Cpu.Segmentation;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Control;

/// <summary>Every MSR that exists; any other number is #GP(0), which is how kernels find out.</summary>
/// <remarks>Spec: SDM volume 4, chapter 2; volume 3, 11.11.2 (MTRRs), 15.3 (machine check).</remarks>
internal static unsafe class MsrCatalog
{
    // Not affected by: rogue data cache load, L1TF at VM entry, SSB, MDS, page-size MCE, TAA, the later buffer leaks,
    // and indirect target selection; IBRS may stay on, so that kernels need no retpolines.
    private const ulong Immunities = (1 << 0) | (1 << 1) | (1 << 3) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 8)
        | (1 << 13) | (1 << 14) | (1 << 15) | (1 << 20) | (1 << 24) | (1 << 26) | (1 << 27) | (1ul << 62);

    // IBRS; STIBP, which is ignored where it is not enumerated; BHI_DIS_S.
    private const ulong SpeculationControls = (1 << 0) | (1 << 1) | (1 << 10);

    private const ulong MtrrCapabilitiesValue = MsrFile.MtrrPairs | (1 << 8) | (1 << 10); // fixed ranges, WC
    private const ulong PhysicalMask = (1ul << Paging.PageWalk.PhysicalAddressBits) - 1;
    private const ulong MicrocodeRevision = 0x0500_3303ul << 32;

    private static readonly Dictionary<uint, MsrEntry> s_entries = Build(
    [
        new(Msr.TimeStampCounter, 1, &ReadTsc, &WriteTsc),
        new(Msr.PlatformId, 1, &ReadZero, null),
        new(Msr.ApicBase, 1, &ReadApicBase, &WriteApicBase),
        new(Msr.FeatureControl, 1, &ReadFeatureControl, &WriteFeatureControl),
        new(Msr.SpeculationControl, 1, &ReadSpeculation, &WriteSpeculation),
        new(Msr.PredictionCommand, 1, null, &WritePrediction),
        new(Msr.TscAdjust, 1, &ReadTscAdjust, &WriteTscAdjust),
        new(Msr.BiosSignature, 1, &ReadMicrocode, &WriteMicrocode),
        new(Msr.PlatformInfo, 1, &ReadZero, null),
        new(Msr.MtrrCapabilities, 1, &ReadMtrrCapabilities, null),
        new(Msr.ArchCapabilities, 1, &ReadArchCapabilities, null),
        new(Msr.MiscFeaturesEnables, 1, &ReadZero, &WriteZero),
        new(Msr.SysenterCs, 1, &ReadSysenterCs, &WriteSysenterCs),
        new(Msr.SysenterEsp, 1, &ReadSysenterEsp, &WriteSysenterEsp),
        new(Msr.SysenterEip, 1, &ReadSysenterEip, &WriteSysenterEip),
        new(Msr.CheckCapabilities, 1, &ReadCheckCapabilities, null),
        new(Msr.CheckStatus, 1, &ReadCheckStatus, &WriteCheckStatus),
        new(Msr.CheckControl, 1, &ReadCheckControl, &WriteCheckControl),
        new(Msr.MiscEnable, 1, &ReadMiscEnable, &WriteMiscEnable),
        new(Msr.MtrrPhysicalBase0, MsrFile.MtrrPairs * 2, &ReadMtrrVariable, &WriteMtrrVariable),
        new(Msr.MtrrFixed64K, 1, &ReadMtrrFixed, &WriteMtrrFixed),
        new(Msr.MtrrFixed16K, 2, &ReadMtrrFixed, &WriteMtrrFixed),
        new(Msr.MtrrFixed4K, 8, &ReadMtrrFixed, &WriteMtrrFixed),
        new(Msr.Pat, 1, &ReadPat, &WritePat),
        new(Msr.MtrrDefaultType, 1, &ReadMtrrDefault, &WriteMtrrDefault),
        new(Msr.CheckBank0, MsrFile.CheckBanks * 4, &ReadCheckBank, &WriteCheckBank),
        new(Msr.TscDeadline, 1, &ReadTscDeadline, &WriteTscDeadline),
        new(Msr.X2Apic, 0x100, &ReadX2Apic, &WriteX2Apic),
        new(Msr.Efer, 1, &ReadEfer, &WriteEfer),
        new(Msr.Star, 1, &ReadStar, &WriteStar),
        new(Msr.Lstar, 1, &ReadLstar, &WriteLstar),
        new(Msr.Cstar, 1, &ReadCstar, &WriteCstar),
        new(Msr.Fmask, 1, &ReadFmask, &WriteFmask),
        new(Msr.FsBase, 1, &ReadFsBase, &WriteFsBase),
        new(Msr.GsBase, 1, &ReadGsBase, &WriteGsBase),
        new(Msr.KernelGsBase, 1, &ReadKernelGsBase, &WriteKernelGsBase),
        new(Msr.TscAux, 1, &ReadTscAux, &WriteTscAux),
    ]);

    /// <summary>RDMSR; false: #GP(0).</summary>
    internal static bool TryRead(Vcpu vcpu, uint number, out ulong value)
    {
        value = 0;
        return s_entries.TryGetValue(number, out MsrEntry entry) && entry.Read != null
            && entry.Read(vcpu, number, out value);
    }

    /// <summary>WRMSR; false: #GP(0).</summary>
    internal static bool TryWrite(Vcpu vcpu, uint number, ulong value)
        => s_entries.TryGetValue(number, out MsrEntry entry) && entry.Write != null && entry.Write(vcpu, number, value);

    private static Dictionary<uint, MsrEntry> Build(MsrEntry[] entries)
    {
        var catalog = new Dictionary<uint, MsrEntry>();
        foreach (MsrEntry entry in entries)
        {
            for (uint i = 0; i < entry.Count; i++)
            {
                catalog.Add(entry.First + i, entry);
            }
        }

        return catalog;
    }

    private static bool Get(ulong source, out ulong value)
    {
        value = source;
        return true;
    }

    private static bool Set(ref ulong target, ulong value)
    {
        target = value;
        return true;
    }

    private static bool SetCanonical(ref ulong target, ulong value)
        => StackFrame.IsCanonical(value) && Set(ref target, value);

    private static bool ReadZero(Vcpu vcpu, uint number, out ulong value) => Get(0, out value);

    private static bool WriteZero(Vcpu vcpu, uint number, ulong value) => value == 0;

    private static bool ReadTsc(Vcpu vcpu, uint number, out ulong value) => Get(vcpu.Tsc.Now, out value);

    private static bool WriteTsc(Vcpu vcpu, uint number, ulong value)
    {
        vcpu.Tsc.Write(value);
        return true;
    }

    private static bool ReadTscAdjust(Vcpu vcpu, uint number, out ulong value) => Get(vcpu.Msrs.TscAdjust, out value);

    private static bool WriteTscAdjust(Vcpu vcpu, uint number, ulong value)
    {
        vcpu.Tsc.WriteAdjust(value);
        return true;
    }

    private static bool ReadTscAux(Vcpu vcpu, uint number, out ulong value) => Get(vcpu.State->TscAux, out value);

    private static bool WriteTscAux(Vcpu vcpu, uint number, ulong value)
        => value <= uint.MaxValue && Set(ref vcpu.State->TscAux, value);

    private static bool ReadApicBase(Vcpu vcpu, uint number, out ulong value)
        => Get(vcpu.LocalApic.Base, out value);

    private static bool WriteApicBase(Vcpu vcpu, uint number, ulong value)
        => vcpu.LocalApic.TryWriteBase(value, Paging.PageWalk.PhysicalAddressBits);

    private static bool ReadTscDeadline(Vcpu vcpu, uint number, out ulong value)
        => Get(vcpu.LocalApic.ReadDeadline(), out value);

    private static bool WriteTscDeadline(Vcpu vcpu, uint number, ulong value)
    {
        vcpu.LocalApic.WriteDeadline(value);
        return true;
    }

    private static bool ReadX2Apic(Vcpu vcpu, uint number, out ulong value)
        => vcpu.LocalApic.TryReadMsr(number, out value);

    private static bool WriteX2Apic(Vcpu vcpu, uint number, ulong value)
        => vcpu.LocalApic.TryWriteMsr(number, value);

    private static bool ReadFeatureControl(Vcpu vcpu, uint number, out ulong value)
        => Get(vcpu.Msrs.FeatureControl, out value);

    // Locked from reset on, as firmware leaves it when there is nothing to enable.
    private static bool WriteFeatureControl(Vcpu vcpu, uint number, ulong value)
        => (vcpu.Msrs.FeatureControl & 1) == 0 && Set(ref vcpu.Msrs.FeatureControl, value & 1);

    private static bool ReadSpeculation(Vcpu vcpu, uint number, out ulong value)
        => Get(vcpu.Msrs.SpeculationControl, out value);

    private static bool WriteSpeculation(Vcpu vcpu, uint number, ulong value)
        => (value & ~SpeculationControls) == 0 && Set(ref vcpu.Msrs.SpeculationControl, value);

    // IBPB: nothing is predicted, so nothing is left to forget.
    private static bool WritePrediction(Vcpu vcpu, uint number, ulong value) => value <= 1;

    private static bool ReadMicrocode(Vcpu vcpu, uint number, out ulong value) => Get(MicrocodeRevision, out value);

    private static bool WriteMicrocode(Vcpu vcpu, uint number, ulong value) => Set(ref vcpu.Msrs.Microcode, value);

    private static bool ReadArchCapabilities(Vcpu vcpu, uint number, out ulong value) => Get(Immunities, out value);

    private static bool ReadMiscEnable(Vcpu vcpu, uint number, out ulong value) => Get(vcpu.Msrs.MiscEnable, out value);

    private static bool WriteMiscEnable(Vcpu vcpu, uint number, ulong value) => Set(ref vcpu.Msrs.MiscEnable, value);

    private static bool ReadMtrrCapabilities(Vcpu vcpu, uint number, out ulong value)
        => Get(MtrrCapabilitiesValue, out value);

    private static bool ReadMtrrDefault(Vcpu vcpu, uint number, out ulong value)
        => Get(vcpu.Msrs.MtrrDefault, out value);

    private static bool WriteMtrrDefault(Vcpu vcpu, uint number, ulong value)
        => (value & ~0xCFFul) == 0 && IsMemoryType(value & 0xFF, allowsUncachedMinus: false)
            && Set(ref vcpu.Msrs.MtrrDefault, value);

    private static bool ReadMtrrVariable(Vcpu vcpu, uint number, out ulong value)
        => Get(vcpu.Msrs.MtrrVariable[number - Msr.MtrrPhysicalBase0], out value);

    private static bool WriteMtrrVariable(Vcpu vcpu, uint number, ulong value)
    {
        bool isMask = (number & 1) != 0;
        bool isValid = isMask
            ? (value & (~PhysicalMask | 0x7FF)) == 0
            : (value & (~PhysicalMask | 0xF00)) == 0 && IsMemoryType(value & 0xFF, allowsUncachedMinus: false);
        return isValid && Set(ref vcpu.Msrs.MtrrVariable[number - Msr.MtrrPhysicalBase0], value);
    }

    private static int FixedIndex(uint number) => number switch
    {
        Msr.MtrrFixed64K => 0,
        < Msr.MtrrFixed4K => (int)(number - Msr.MtrrFixed16K) + 1,
        _ => (int)(number - Msr.MtrrFixed4K) + 3,
    };

    private static bool ReadMtrrFixed(Vcpu vcpu, uint number, out ulong value)
        => Get(vcpu.Msrs.MtrrFixed[FixedIndex(number)], out value);

    private static bool WriteMtrrFixed(Vcpu vcpu, uint number, ulong value)
        => AreMemoryTypes(value, allowUncachedMinus: false)
            && Set(ref vcpu.Msrs.MtrrFixed[FixedIndex(number)], value);

    private static bool ReadPat(Vcpu vcpu, uint number, out ulong value) => Get(vcpu.State->Pat, out value);

    private static bool WritePat(Vcpu vcpu, uint number, ulong value)
        => AreMemoryTypes(value, allowUncachedMinus: true) && Set(ref vcpu.State->Pat, value);

    private static bool AreMemoryTypes(ulong value, bool allowUncachedMinus)
    {
        for (int shift = 0; shift < 64; shift += 8)
        {
            if (!IsMemoryType((value >> shift) & 0xFF, allowUncachedMinus))
            {
                return false;
            }
        }

        return true;
    }

    // UC, WC, WT, WP, WB; in the PAT also UC-.
    private static bool IsMemoryType(ulong type, bool allowsUncachedMinus)
        => type is 0 or 1 or 4 or 5 or 6 || (type == 7 && allowsUncachedMinus);

    // Error control, and as many banks as a server CPU has; nothing ever fails here.
    private static bool ReadCheckCapabilities(Vcpu vcpu, uint number, out ulong value)
        => Get(MsrFile.CheckBanks | (1 << 8), out value);

    private static bool ReadCheckStatus(Vcpu vcpu, uint number, out ulong value)
        => Get(vcpu.Msrs.CheckStatus, out value);

    private static bool WriteCheckStatus(Vcpu vcpu, uint number, ulong value)
        => value <= 7 && Set(ref vcpu.Msrs.CheckStatus, value);

    private static bool ReadCheckControl(Vcpu vcpu, uint number, out ulong value)
        => Get(vcpu.Msrs.CheckControl, out value);

    private static bool WriteCheckControl(Vcpu vcpu, uint number, ulong value)
        => Set(ref vcpu.Msrs.CheckControl, value);

    private static bool ReadCheckBank(Vcpu vcpu, uint number, out ulong value)
        => Get(vcpu.Msrs.Banks[number - Msr.CheckBank0], out value);

    // Control takes anything; status, address and misc only what clears them.
    private static bool WriteCheckBank(Vcpu vcpu, uint number, ulong value)
        => ((number & 3) == 0 || value == 0) && Set(ref vcpu.Msrs.Banks[number - Msr.CheckBank0], value);

    private static bool ReadSysenterCs(Vcpu vcpu, uint number, out ulong value)
        => Get(vcpu.State->SysenterCs, out value);

    private static bool WriteSysenterCs(Vcpu vcpu, uint number, ulong value)
        => Set(ref vcpu.State->SysenterCs, (uint)value);

    private static bool ReadSysenterEsp(Vcpu vcpu, uint number, out ulong value)
        => Get(vcpu.State->SysenterEsp, out value);

    private static bool WriteSysenterEsp(Vcpu vcpu, uint number, ulong value)
        => SetCanonical(ref vcpu.State->SysenterEsp, value);

    private static bool ReadSysenterEip(Vcpu vcpu, uint number, out ulong value)
        => Get(vcpu.State->SysenterEip, out value);

    private static bool WriteSysenterEip(Vcpu vcpu, uint number, ulong value)
        => SetCanonical(ref vcpu.State->SysenterEip, value);

    private static bool ReadEfer(Vcpu vcpu, uint number, out ulong value) => Get(vcpu.State->Efer, out value);

    private static bool WriteEfer(Vcpu vcpu, uint number, ulong value) => vcpu.Control.TryWriteEfer(value);

    private static bool ReadStar(Vcpu vcpu, uint number, out ulong value) => Get(vcpu.State->Star, out value);

    private static bool WriteStar(Vcpu vcpu, uint number, ulong value) => Set(ref vcpu.State->Star, value);

    private static bool ReadLstar(Vcpu vcpu, uint number, out ulong value) => Get(vcpu.State->Lstar, out value);

    private static bool WriteLstar(Vcpu vcpu, uint number, ulong value) => SetCanonical(ref vcpu.State->Lstar, value);

    private static bool ReadCstar(Vcpu vcpu, uint number, out ulong value) => Get(vcpu.State->Cstar, out value);

    private static bool WriteCstar(Vcpu vcpu, uint number, ulong value) => SetCanonical(ref vcpu.State->Cstar, value);

    private static bool ReadFmask(Vcpu vcpu, uint number, out ulong value) => Get(vcpu.State->Fmask, out value);

    private static bool WriteFmask(Vcpu vcpu, uint number, ulong value)
        => value <= uint.MaxValue && Set(ref vcpu.State->Fmask, value);

    private static bool ReadFsBase(Vcpu vcpu, uint number, out ulong value)
        => Get(vcpu.State->Segments[SegmentRegister.Fs].Base, out value);

    private static bool WriteFsBase(Vcpu vcpu, uint number, ulong value)
        => SetCanonical(ref vcpu.State->Segments[SegmentRegister.Fs].Base, value);

    private static bool ReadGsBase(Vcpu vcpu, uint number, out ulong value)
        => Get(vcpu.State->Segments[SegmentRegister.Gs].Base, out value);

    private static bool WriteGsBase(Vcpu vcpu, uint number, ulong value)
        => SetCanonical(ref vcpu.State->Segments[SegmentRegister.Gs].Base, value);

    private static bool ReadKernelGsBase(Vcpu vcpu, uint number, out ulong value)
        => Get(vcpu.State->KernelGsBase, out value);

    private static bool WriteKernelGsBase(Vcpu vcpu, uint number, ulong value)
        => SetCanonical(ref vcpu.State->KernelGsBase, value);
}
