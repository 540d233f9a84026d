using System.Runtime.CompilerServices;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Instructions;

/// <summary>
/// Whether the guest has enabled the unit of an instruction. Spec: SDM volume 2, 2.4 and 2.6; volume 3, 2.5.
/// </summary>
internal static unsafe class HostChecks
{
    /// <summary>False: the exception is recorded.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsEnabled(Vcpu vcpu, HostUnit unit)
    {
        CpuState* state = vcpu.State;
        bool isFine = unit switch
        {
            HostUnit.Sse => ((state->Cr0 & (Cr0.Emulation | Cr0.TaskSwitched))
                | (~state->Cr4 & Cr4.FxsaveEnable)) == 0,
            HostUnit.Avx or HostUnit.Avx512 => ((state->Cr0 & Cr0.TaskSwitched) | (~state->Cr4 & Cr4.XsaveEnable)
                | (~state->Xcr0 & Components(unit)) | (~state->Cr0 & Cr0.ProtectionEnable)
                | (state->Rflags & Rflags.Virtual8086)) == 0,
            HostUnit.Integer => true,
            HostUnit.IntegerVex or HostUnit.Mmx or HostUnit.MmxSse => false,
        };
        return isFine || Decide(vcpu, unit);
    }

    /// <summary>The x87 unit: CR0.EM and CR0.TS both raise #NM.</summary>
    internal static bool IsFpuEnabled(Vcpu vcpu)
    {
        if ((vcpu.State->Cr0 & (Cr0.Emulation | Cr0.TaskSwitched)) == 0)
        {
            return true;
        }

        vcpu.Raise(ExceptionVector.DeviceNotAvailable);
        return false;
    }

    /// <summary>Raises the x87 exception that an earlier instruction left pending. False: raised.</summary>
    internal static bool IsFpuQuiet(Vcpu vcpu)
    {
        if ((FpuImage.Status(vcpu.State) & FpuImage.ErrorSummary) == 0)
        {
            return true;
        }

        // With CR0.NE clear a PC raises IRQ 13 over FERR#; nobody has relied on that since the 386.
        vcpu.Raise(ExceptionVector.FloatingPoint);
        return false;
    }

    // Bits of XCR0 that a unit of vectors needs.
    private static ulong Components(HostUnit unit)
        => unit == HostUnit.Avx512 ? ExtendedState.Avx512Unit : ExtendedState.AvxUnit;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool Decide(Vcpu vcpu, HostUnit unit)
    {
        CpuState* state = vcpu.State;
        bool isVex = unit is HostUnit.Avx or HostUnit.Avx512 or HostUnit.IntegerVex;
        bool isVexMode = (state->Cr0 & Cr0.ProtectionEnable) != 0 && (state->Rflags & Rflags.Virtual8086) == 0;
        bool isUndefined = (isVex && !isVexMode)
            || (unit is HostUnit.Sse or HostUnit.Mmx or HostUnit.MmxSse && (state->Cr0 & Cr0.Emulation) != 0)
            || (unit is HostUnit.Sse or HostUnit.MmxSse && (state->Cr4 & Cr4.FxsaveEnable) == 0)
            || (unit is HostUnit.Avx or HostUnit.Avx512
                && ((state->Cr4 & Cr4.XsaveEnable) == 0 || (~state->Xcr0 & Components(unit)) != 0));
        if (isUndefined)
        {
            vcpu.Raise(ExceptionVector.InvalidOpcode);
            return false;
        }

        if (unit is not HostUnit.Integer and not HostUnit.IntegerVex && (state->Cr0 & Cr0.TaskSwitched) != 0)
        {
            vcpu.Raise(ExceptionVector.DeviceNotAvailable);
            return false;
        }

        return unit is not HostUnit.Mmx and not HostUnit.MmxSse || IsFpuQuiet(vcpu);
    }
}
