namespace Hypervisor.Cpu.Control;

/// <summary>Numbers of model-specific registers. Spec: SDM volume 4, table 2-2.</summary>
internal static class Msr
{
    internal const uint PlatformId = 0x17;
    internal const uint TimeStampCounter = 0x10;
    internal const uint ApicBase = 0x1B;
    internal const uint FeatureControl = 0x3A;
    internal const uint TscAdjust = 0x3B;
    internal const uint SpeculationControl = 0x48;
    internal const uint PredictionCommand = 0x49;
    internal const uint BiosSignature = 0x8B;
    internal const uint PlatformInfo = 0xCE;
    internal const uint MtrrCapabilities = 0xFE;
    internal const uint ArchCapabilities = 0x10A;
    internal const uint MiscFeaturesEnables = 0x140;
    internal const uint SysenterCs = 0x174;
    internal const uint SysenterEsp = 0x175;
    internal const uint SysenterEip = 0x176;
    internal const uint CheckCapabilities = 0x179;
    internal const uint CheckStatus = 0x17A;
    internal const uint CheckControl = 0x17B;
    internal const uint MiscEnable = 0x1A0;
    internal const uint MtrrPhysicalBase0 = 0x200;
    internal const uint MtrrFixed64K = 0x250;
    internal const uint MtrrFixed16K = 0x258;
    internal const uint MtrrFixed4K = 0x268;
    internal const uint Pat = 0x277;
    internal const uint MtrrDefaultType = 0x2FF;
    internal const uint CheckBank0 = 0x400;
    internal const uint TscDeadline = 0x6E0;
    internal const uint X2Apic = 0x800;
    internal const uint Efer = 0xC000_0080;
    internal const uint Star = 0xC000_0081;
    internal const uint Lstar = 0xC000_0082;
    internal const uint Cstar = 0xC000_0083;
    internal const uint Fmask = 0xC000_0084;
    internal const uint FsBase = 0xC000_0100;
    internal const uint GsBase = 0xC000_0101;
    internal const uint KernelGsBase = 0xC000_0102;
    internal const uint TscAux = 0xC000_0103;
}
