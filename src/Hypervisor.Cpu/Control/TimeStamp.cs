namespace Hypervisor.Cpu.Control;

/// <summary>
/// The guest's time-stamp counter: guest nanoseconds plus an offset, 1 GHz. Spec: SDM volume 3, 17.17.
/// </summary>
internal sealed unsafe class TimeStamp(Vcpu vcpu)
{
    internal ulong Now => (ulong)vcpu.Timers.Clock.NowNanos + vcpu.State->TscOffset;

    /// <summary>WRMSR IA32_TIME_STAMP_COUNTER: IA32_TSC_ADJUST moves by the same amount.</summary>
    internal void Write(ulong value)
    {
        ulong change = value - Now;
        vcpu.State->TscOffset += change;
        vcpu.Msrs.TscAdjust += change;
        vcpu.LocalApic.OnTscChanged();
    }

    /// <summary>WRMSR IA32_TSC_ADJUST: the counter moves by the difference.</summary>
    internal void WriteAdjust(ulong value)
    {
        vcpu.State->TscOffset += value - vcpu.Msrs.TscAdjust;
        vcpu.Msrs.TscAdjust = value;
        vcpu.LocalApic.OnTscChanged();
    }
}
