namespace Hypervisor.Cpu.Paging;

/// <summary>Which TLB table an access uses.</summary>
internal static class TlbMode
{
    /// <summary>Supervisor, SMAP as CR4 says and AC clear; also implicit supervisor accesses at any CPL.</summary>
    internal const int Supervisor = 0;

    /// <summary>Supervisor with RFLAGS.AC set: user pages are open.</summary>
    internal const int SupervisorOverride = 1;

    /// <summary>CPL 3.</summary>
    internal const int User = 2;

    /// <summary>CPL 3 with alignment checking: never filled, so that each access goes through the slow path.</summary>
    internal const int Checked = 3;

    internal const int Count = 4;
}
