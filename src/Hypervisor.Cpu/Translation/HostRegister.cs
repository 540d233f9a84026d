namespace Hypervisor.Cpu.Translation;

/// <summary>General registers of the host by their number in the encoding.</summary>
internal static class HostRegister
{
    internal const int Rax = 0;
    internal const int Rcx = 1;
    internal const int Rdx = 2;
    internal const int Rbx = 3;
    internal const int Rsp = 4;
    internal const int Rbp = 5;
    internal const int Rsi = 6;
    internal const int Rdi = 7;
    internal const int R8 = 8;
    internal const int R9 = 9;
    internal const int R10 = 10;
    internal const int R11 = 11;
    internal const int R12 = 12;
    internal const int R15 = 15;
    internal const int Count = 16;

    /// <summary>Whether a function must give the register back as it was. Spec: System V ABI x86-64, 3.2.1.</summary>
    internal static bool IsCalleeSaved(int register) => register is Rbx or Rbp or >= R12;
}
