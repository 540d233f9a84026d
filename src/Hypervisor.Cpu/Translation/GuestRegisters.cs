using Iced.Intel;

namespace Hypervisor.Cpu.Translation;

/// <summary>Where the guest's general registers live while generated code runs.</summary>
/// <remarks>
/// Eleven are in host registers, eight of them under their own number; R8 to R11 and R15, which code uses least, stay
/// in memory. Host RBP points to the state, host RSP is the host's stack. RCX, R9 and R10 are free between
/// instructions: RCX because the one jump that reads no flags tests it.
/// </remarks>
internal static class GuestRegisters
{
    /// <summary>The state: <see cref="State.CpuState"/>.</summary>
    internal const int State = HostRegister.Rbp;

    /// <summary>The guest's stack pointer.</summary>
    internal const int StackPointer = HostRegister.R8;

    /// <summary>The guest's RCX.</summary>
    internal const int Counter = HostRegister.R11;

    /// <summary>The guest's RBP.</summary>
    internal const int FramePointer = HostRegister.R15;

    private const int InMemory = -1;

    private static readonly sbyte[] s_hosts =
    [
        HostRegister.Rax, Counter, HostRegister.Rdx, HostRegister.Rbx, StackPointer, FramePointer,
        HostRegister.Rsi, HostRegister.Rdi, InMemory, InMemory, InMemory, InMemory, 12, 13, 14, InMemory,
    ];

    /// <summary>Host register of guest register <paramref name="guest"/>; negative: it is in memory.</summary>
    internal static int HostOf(int guest) => s_hosts[guest];

    /// <summary>The part of host register <paramref name="host"/> that is as wide as <paramref name="like"/>.</summary>
    internal static Register Named(Register like, int host) => like.GetSize() switch
    {
        1 => host < 4 ? Register.AL + host : host < 8 ? Register.SPL + (host - 4) : Register.R8L + (host - 8),
        2 => Register.AX + host,
        4 => Register.EAX + host,
        _ => Register.RAX + host,
    };
}
