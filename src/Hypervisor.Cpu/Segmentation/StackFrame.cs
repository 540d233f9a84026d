using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Segmentation;

/// <summary>Pushes and reads stack values whose width is known only at run time: far transfers and gates.</summary>
internal sealed unsafe class StackFrame(Vcpu vcpu)
{
    private readonly CpuState* _state = vcpu.State;

    /// <summary>
    /// Pushes the low <paramref name="bytes"/> (2, 4 or 8) of a value. False: the exception is recorded.
    /// </summary>
    internal bool TryPush(int bytes, ulong value) => bytes switch
    {
        2 => vcpu.Mmu.TryPush((ushort)value),
        4 => vcpu.Mmu.TryPush((uint)value),
        _ => vcpu.Mmu.TryPush(value),
    };

    /// <summary>Reads entry <paramref name="index"/> of the stack in units of <paramref name="bytes"/>.</summary>
    internal bool TryPeek(int bytes, int index, out ulong value, int skippedBytes = 0)
    {
        int offset = (bytes * index) + skippedBytes;
        switch (bytes)
        {
            case 2:
                bool found2 = vcpu.Mmu.TryPeek(offset, out ushort value2);
                value = value2;
                return found2;
            case 4:
                bool found4 = vcpu.Mmu.TryPeek(offset, out uint value4);
                value = value4;
                return found4;
            default:
                return vcpu.Mmu.TryPeek(offset, out value);
        }
    }

    /// <summary>Switches to another stack and privilege; the caller took a snapshot.</summary>
    internal void Switch(in Segment stack, ulong pointer, uint cpl)
    {
        _state->Segments[SegmentRegister.Ss] = stack;
        _state->Cpl = cpl;
        vcpu.Segments.UpdateMode();
        if (_state->StackMask == 0xFFFF)
        {
            _state->Gpr[4] = (_state->Gpr[4] & ~0xFFFFul) | (pointer & 0xFFFF);
        }
        else
        {
            _state->Gpr[4] = pointer & _state->StackMask;
        }
    }

    /// <summary>
    /// SS and ESP for <paramref name="level"/> from a 16- or 32-bit TSS. Spec: SDM volume 3, 7.2.1, 7.6.
    /// </summary>
    internal bool TryReadInner(uint level, out ushort selector, out ulong pointer)
    {
        selector = 0;
        pointer = 0;
        ref readonly Segment task = ref _state->Segments[SegmentRegister.Tr];
        bool isWide = (task.Attributes & 8) != 0;
        uint offset = isWide ? (level * 8) + 4 : (level * 4) + 2;
        uint bytes = isWide ? 6u : 4u;
        if (offset + bytes - 1 > task.Limit)
        {
            return vcpu.Segments.Refuse(ExceptionVector.InvalidTss, task.Selector);
        }

        ulong linear = (uint)(task.Base + offset);
        if (isWide)
        {
            bool found = vcpu.Mmu.TryReadSystem(linear, out uint value32)
                & vcpu.Mmu.TryReadSystem((uint)(linear + 4), out selector);
            pointer = value32;
            return found;
        }

        bool found16 = vcpu.Mmu.TryReadSystem(linear, out ushort value16)
            & vcpu.Mmu.TryReadSystem((uint)(linear + 2), out selector);
        pointer = value16;
        return found16;
    }

    /// <summary>A 64-bit stack pointer from the long-mode TSS: RSP0-2 or IST1-7. Spec: SDM volume 3, 7.7.</summary>
    internal bool TryReadLong(uint offset, out ulong pointer)
    {
        pointer = 0;
        ref readonly Segment task = ref _state->Segments[SegmentRegister.Tr];
        return offset + 7 > task.Limit
            ? vcpu.Segments.Refuse(ExceptionVector.InvalidTss, task.Selector)
            : vcpu.Mmu.TryReadSystem(task.Base + offset, out pointer);
    }

    /// <summary>Whether <paramref name="linear"/> is canonical for 48-bit addresses.</summary>
    internal static bool IsCanonical(ulong linear) => (ulong)((long)(linear << 16) >> 16) == linear;
}
