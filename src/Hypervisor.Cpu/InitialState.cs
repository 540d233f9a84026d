using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu;

/// <summary>Registers that a boot loader sets; the others are as <see cref="Vcpu.Reset"/> leaves them, or 0.</summary>
public struct InitialState
{
    /// <summary>Offset of the first instruction in <see cref="Cs"/>.</summary>
    public ulong Rip;

    /// <summary>General registers of boot protocols.</summary>
    public ulong Rax, Rbx, Rcx, Rdx, Rsi, Rdi, Rbp, Rsp;

    /// <summary>Control registers and EFER; LMA included, they must fit together.</summary>
    public ulong Cr0, Cr3, Cr4, Efer;

    /// <summary>Descriptor tables.</summary>
    public ulong GdtBase, IdtBase;

    /// <summary>Offsets of their last bytes.</summary>
    public ushort GdtLimit, IdtLimit;

    /// <summary>Segment registers with hidden parts; <see cref="Segment.Attributes"/> says the layout.</summary>
    public Segment Cs, Ss, Ds, Es, Fs, Gs, Ldtr, Tr;
}
