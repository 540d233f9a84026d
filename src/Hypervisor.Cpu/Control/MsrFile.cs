using Hypervisor.Core.State;

namespace Hypervisor.Cpu.Control;

/// <summary>
/// MSRs that the emulation only stores: MTRRs, machine check, enables. Others live in CpuState or the APIC.
/// </summary>
/// <remarks>Spec: SDM volume 3, 11.11 (MTRRs), 15.3 (machine check); volume 4, chapter 2.</remarks>
internal sealed class MsrFile
{
    /// <summary>Variable-range MTRR pairs.</summary>
    internal const int MtrrPairs = 8;

    /// <summary>Machine check banks.</summary>
    internal const int CheckBanks = 10;

    private const ulong FastStrings = 1;
    private const ulong MonitorEnable = 1 << 18;

    private readonly ulong[] _mtrrVariable = new ulong[MtrrPairs * 2];
    private readonly ulong[] _mtrrFixed = new ulong[11];
    private readonly ulong[] _checkBanks = new ulong[CheckBanks * 4];
    private ulong _mtrrDefault;
    private ulong _miscEnable;
    private ulong _tscAdjust;
    private ulong _checkStatus;
    private ulong _checkControl;
    private ulong _featureControl;
    private ulong _microcode;
    private ulong _speculationControl;

    /// <summary>IA32_MTRR_PHYSBASEn, PHYSMASKn, alternating.</summary>
    internal ulong[] MtrrVariable => _mtrrVariable;

    /// <summary>The fixed-range MTRRs: 64K, two 16K, eight 4K.</summary>
    internal ulong[] MtrrFixed => _mtrrFixed;

    /// <summary>IA32_MCi_CTL, STATUS, ADDR, MISC of each bank.</summary>
    internal ulong[] Banks => _checkBanks;

    internal ref ulong MtrrDefault => ref _mtrrDefault;

    internal ref ulong MiscEnable => ref _miscEnable;

    /// <summary>Whether MONITOR and MWAIT exist: IA32_MISC_ENABLE bit 18.</summary>
    internal bool IsMonitorEnabled => (_miscEnable & MonitorEnable) != 0;

    internal ref ulong TscAdjust => ref _tscAdjust;

    internal ref ulong CheckStatus => ref _checkStatus;

    internal ref ulong CheckControl => ref _checkControl;

    internal ref ulong FeatureControl => ref _featureControl;

    /// <summary>IA32_BIOS_SIGN_ID as software last wrote it.</summary>
    internal ref ulong Microcode => ref _microcode;

    /// <summary>IA32_SPEC_CTRL: kept for who reads it back; nothing here speculates.</summary>
    internal ref ulong SpeculationControl => ref _speculationControl;

    internal void Reset()
    {
        System.Array.Clear(_mtrrVariable);
        System.Array.Clear(_mtrrFixed);
        System.Array.Clear(_checkBanks);

        // As firmware leaves it: MTRRs on, everything write-back; a kernel loaded directly looks at this.
        _mtrrDefault = 0xC06;
        System.Array.Fill(_mtrrFixed, 0x0606_0606_0606_0606ul);
        _miscEnable = FastStrings | MonitorEnable;
        _tscAdjust = 0;
        _checkStatus = 0;
        _checkControl = ulong.MaxValue;
        _featureControl = 1; // locked, nothing enabled
        _microcode = 0;
        _speculationControl = 0;
        for (int i = 0; i < CheckBanks; i++)
        {
            _checkBanks[i * 4] = ulong.MaxValue;
        }
    }

    internal void Transfer(ref StateCodec state)
    {
        TransferArray(ref state, _mtrrVariable);
        TransferArray(ref state, _mtrrFixed);
        TransferArray(ref state, _checkBanks);
        state.U64(ref _mtrrDefault);
        state.U64(ref _miscEnable);
        state.U64(ref _tscAdjust);
        state.U64(ref _checkStatus);
        state.U64(ref _checkControl);
        state.U64(ref _featureControl);
        state.U64(ref _microcode);
        state.U64(ref _speculationControl);
    }

    private static void TransferArray(ref StateCodec state, ulong[] values)
    {
        for (int i = 0; i < values.Length; i++)
        {
            state.U64(ref values[i]);
        }
    }
}
