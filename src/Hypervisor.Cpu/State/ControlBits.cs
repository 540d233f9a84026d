namespace Hypervisor.Cpu.State;

/// <summary>Bits of CR0. Spec: SDM volume 3, 2.5.</summary>
internal static class Cr0
{
    internal const ulong ProtectionEnable = 1 << 0;
    internal const ulong MonitorCoprocessor = 1 << 1;
    internal const ulong Emulation = 1 << 2;
    internal const ulong TaskSwitched = 1 << 3;
    internal const ulong ExtensionType = 1 << 4;
    internal const ulong NumericError = 1 << 5;
    internal const ulong WriteProtect = 1 << 16;
    internal const ulong AlignmentMask = 1 << 18;
    internal const ulong NotWriteThrough = 1 << 29;
    internal const ulong CacheDisable = 1 << 30;
    internal const ulong Paging = 1u << 31;
}

/// <summary>Bits of CR4. Spec: SDM volume 3, 2.5.</summary>
internal static class Cr4
{
    internal const ulong Virtual8086Extensions = 1 << 0;
    internal const ulong ProtectedVirtualInterrupts = 1 << 1;
    internal const ulong TimeStampDisable = 1 << 2;
    internal const ulong DebuggingExtensions = 1 << 3;
    internal const ulong PageSizeExtensions = 1 << 4;
    internal const ulong PhysicalAddressExtension = 1 << 5;
    internal const ulong MachineCheckEnable = 1 << 6;
    internal const ulong PageGlobalEnable = 1 << 7;
    internal const ulong PerformanceCounterEnable = 1 << 8;
    internal const ulong FxsaveEnable = 1 << 9;
    internal const ulong SimdExceptions = 1 << 10;
    internal const ulong UserModeInstructionPrevention = 1 << 11;
    internal const ulong FsGsBase = 1 << 16;
    internal const ulong ProcessContextIdentifiers = 1 << 17;
    internal const ulong XsaveEnable = 1 << 18;
    internal const ulong SupervisorExecutionPrevention = 1 << 20;
    internal const ulong SupervisorAccessPrevention = 1 << 21;
}

/// <summary>Bits of IA32_EFER. Spec: SDM volume 3, 2.2.1.</summary>
internal static class Efer
{
    internal const ulong SyscallEnable = 1 << 0;
    internal const ulong LongModeEnable = 1 << 8;
    internal const ulong LongModeActive = 1 << 10;
    internal const ulong NoExecuteEnable = 1 << 11;
}
