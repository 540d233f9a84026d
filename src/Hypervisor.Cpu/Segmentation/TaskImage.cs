using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Segmentation;

/// <summary>The registers of a task as its TSS holds them. Spec: SDM volume 3, 7.2.1 (32-bit), 7.6 (16-bit).</summary>
internal unsafe struct TaskImage
{
    internal const uint LimitMin32 = 0x67;
    internal const uint LimitMin16 = 0x2B;

    internal uint Cr3;
    internal uint Eip;
    internal uint Eflags;
    internal ushort Ldt;

    /// <summary>The T bit: a debug trap when the task starts.</summary>
    internal bool IsTrapped;

    /// <summary>EAX to EDI in encoding order.</summary>
    internal fixed uint Registers[8];

    /// <summary>ES, CS, SS, DS, FS, GS.</summary>
    internal fixed ushort Selectors[6];

    /// <summary>Reads the part of a TSS that a switch loads.</summary>
    internal static bool TryRead(Vcpu vcpu, ulong start, bool isWide, out TaskImage image)
    {
        image = default;
        bool found = true;
        if (isWide)
        {
            found &= TryField(vcpu, start + 28, out image.Cr3) & TryField(vcpu, start + 32, out image.Eip)
                & TryField(vcpu, start + 36, out image.Eflags) & TryField(vcpu, start + 96, out image.Ldt)
                & TryField(vcpu, start + 100, out ushort trap);
            image.IsTrapped = (trap & 1) != 0;
            for (uint i = 0; i < 8 && found; i++)
            {
                found = TryField(vcpu, start + 40 + (i * 4), out image.Registers[i]);
            }

            for (uint i = 0; i < 6 && found; i++)
            {
                found = TryField(vcpu, start + 72 + (i * 4), out image.Selectors[i]);
            }

            return found;
        }

        found &= TryField(vcpu, start + 14, out ushort ip) & TryField(vcpu, start + 16, out ushort flags)
            & TryField(vcpu, start + 42, out image.Ldt);
        image.Eip = ip;
        image.Eflags = flags;
        for (uint i = 0; i < 8 && found; i++)
        {
            found = TryField(vcpu, start + 18 + (i * 2), out ushort register);
            image.Registers[i] = 0xFFFF_0000 | register; // the upper halves are not defined; hardware leaves ones
        }

        for (uint i = 0; i < 4 && found; i++)
        {
            found = TryField(vcpu, start + 34 + (i * 2), out image.Selectors[i]);
        }

        return found;
    }

    /// <summary>Saves the running task's registers into its TSS.</summary>
    internal static bool TrySave(Vcpu vcpu, ulong start, bool isWide, uint eflags)
    {
        CpuState* state = vcpu.State;
        if (isWide)
        {
            bool saved = TryStore(vcpu, start + 32, (uint)state->Rip) && TryStore(vcpu, start + 36, eflags);
            for (uint i = 0; i < 8 && saved; i++)
            {
                saved = TryStore(vcpu, start + 40 + (i * 4), (uint)state->Gpr[i]);
            }

            for (uint i = 0; i < 6 && saved; i++)
            {
                saved = TryStore(vcpu, start + 72 + (i * 4), state->Segments[(int)i].Selector);
            }

            return saved;
        }

        bool saved16 = TryStore(vcpu, start + 14, (ushort)state->Rip) && TryStore(vcpu, start + 16, (ushort)eflags);
        for (uint i = 0; i < 8 && saved16; i++)
        {
            saved16 = TryStore(vcpu, start + 18 + (i * 2), (ushort)state->Gpr[i]);
        }

        for (uint i = 0; i < 4 && saved16; i++)
        {
            saved16 = TryStore(vcpu, start + 34 + (i * 2), state->Segments[(int)i].Selector);
        }

        return saved16;
    }

    private static bool TryField<T>(Vcpu vcpu, ulong linear, out T value)
        where T : unmanaged
        => vcpu.Mmu.TryReadSystem((uint)linear, out value);

    private static bool TryStore<T>(Vcpu vcpu, ulong linear, T value)
        where T : unmanaged
        => vcpu.Mmu.TryWriteSystem((uint)linear, value);
}
