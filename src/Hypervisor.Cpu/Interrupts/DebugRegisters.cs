using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Interrupts;

/// <summary>DR0 to DR7: breakpoints and what they report. Spec: SDM volume 3, 17.2 and 17.3.</summary>
/// <remarks>While a breakpoint is enabled the vCPU runs instruction by instruction, so nothing here is fast.</remarks>
internal sealed unsafe class DebugRegisters(Vcpu vcpu)
{
    /// <summary>DR7.GD: the next access to a debug register traps.</summary>
    internal const ulong GeneralDetect = 1 << 13;

    private const ulong Dr6Fixed = 0xFFFF_0FF0;
    private const ulong Dr6Writable = 0xE00F; // B0-B3, BD, BS, BT
    private const ulong Dr6AccessDetected = 1 << 13;
    private const ulong Dr7Fixed = 0x400;
    private const ulong Dr7Writable = 0xFFFF_23FF;
    private const ulong Enables = 0xFF;

    private const int Execute = 0;
    private const int Write = 1;
    private const int Port = 2;
    private const int ReadWrite = 3;

    private readonly CpuState* _state = vcpu.State;

    /// <summary>Whether any breakpoint is enabled.</summary>
    internal bool HasBreakpoints => (_state->Dr[7] & Enables) != 0;

    /// <summary>Whether a data breakpoint is enabled: loads and stores must come through the slow path.</summary>
    internal bool WatchesData => HasKind(Write) || HasKind(ReadWrite);

    internal void Reset()
    {
        _state->Dr[6] = Dr6Fixed;
        _state->Dr[7] = Dr7Fixed;
    }

    /// <summary>MOV DR, r. The caller checked CPL, CR4.DE and GD.</summary>
    internal bool TryWrite(int index, ulong value)
    {
        if (index >= 6 && value > uint.MaxValue && _state->CodeMode == 2)
        {
            vcpu.Raise(ExceptionVector.GeneralProtection, 0);
            return false;
        }

        switch (index)
        {
            case 6:
                _state->Dr[6] = Dr6Fixed | (value & Dr6Writable);
                break;
            case 7:
                _state->Dr[7] = Dr7Fixed | (value & Dr7Writable);
                _state->Rflags &= ~Rflags.Resume; // left from an IRET long ago
                vcpu.Mmu.Tlb.FlushAll();          // watched pages must not be in it
                break;
            default:
                _state->Dr[index] = value;
                vcpu.Mmu.Tlb.FlushAll();
                break;
        }

        vcpu.Events.OnFlagsChanged();
        return true;
    }

    /// <summary>DR7.GD is set: reports the access, and the caller raises #DB.</summary>
    internal void ReportAccess()
    {
        _state->Dr[6] |= Dr6AccessDetected;
        _state->Dr[7] &= ~GeneralDetect;
    }

    /// <summary>Sets bits of DR6; B0 to B3 are replaced, the others stay until software clears them.</summary>
    internal void Report(ulong bits) => _state->Dr[6] = (_state->Dr[6] & ~0xFul) | bits;

    /// <summary>Finds instruction breakpoints at CS:RIP.</summary>
    internal bool TryMatchInstruction(out ulong hits)
    {
        ulong linear = _state->Rip;
        if (_state->CodeMode != 2)
        {
            linear = (uint)(linear + _state->Segments[SegmentRegister.Cs].Base);
        }

        return TryMatch(Execute, Execute, linear, 1, out hits) && (hits & Enabled) != 0;
    }

    /// <summary>Records data breakpoints that an access of the running instruction meets.</summary>
    internal void OnAccess(ulong linear, int sizeBytes, bool isWrite)
    {
        if (TryMatch(isWrite ? Write : ReadWrite, ReadWrite, linear, sizeBytes, out ulong hits))
        {
            vcpu.Events.PendDebug(hits);
        }
    }

    /// <summary>Records I/O breakpoints, which exist with CR4.DE.</summary>
    internal void OnPort(ushort port, int sizeBytes)
    {
        if ((_state->Cr4 & Cr4.DebuggingExtensions) != 0 && TryMatch(Port, Port, port, sizeBytes, out ulong hits))
        {
            vcpu.Events.PendDebug(hits);
        }
    }

    /// <summary>Whether the page of <paramref name="linear"/> holds a data breakpoint.</summary>
    internal bool IsWatched(ulong linear)
    {
        for (int i = 0; i < 4; i++)
        {
            bool isData = Kind(i) is Write or ReadWrite;
            if (isData && (_state->Dr[7] & (3ul << (i * 2))) != 0 && (_state->Dr[i] ^ linear) >> 12 == 0)
            {
                return true;
            }
        }

        return false;
    }

    // B0-B3 bits of the breakpoints that DR7 enables.
    private ulong Enabled
    {
        get
        {
            ulong enabled = 0;
            for (int i = 0; i < 4; i++)
            {
                enabled |= (_state->Dr[7] & (3ul << (i * 2))) != 0 ? 1ul << i : 0;
            }

            return enabled;
        }
    }

    private int Kind(int index) => (int)(_state->Dr[7] >> (16 + (index * 4))) & 3;

    private bool HasKind(int kind)
    {
        for (int i = 0; i < 4; i++)
        {
            if (Kind(i) == kind && (_state->Dr[7] & (3ul << (i * 2))) != 0)
            {
                return true;
            }
        }

        return false;
    }

    // Hits count only if an enabled breakpoint is among them; then B bits of disabled ones that match are set too.
    private bool TryMatch(int kind, int otherKind, ulong linear, int sizeBytes, out ulong hits)
    {
        hits = 0;
        for (int i = 0; i < 4; i++)
        {
            int actual = Kind(i);
            if (actual != kind && actual != otherKind)
            {
                continue;
            }

            // LEN: 1, 2, 8, 4 bytes; the address is aligned to it.
            ulong length = ((int)(_state->Dr[7] >> (18 + (i * 4))) & 3) switch { 0 => 1ul, 1 => 2, 2 => 8, _ => 4 };
            ulong start = _state->Dr[i] & ~(length - 1);
            if (linear - start < length || start - linear < (ulong)sizeBytes)
            {
                hits |= 1ul << i;
            }
        }

        return (hits & Enabled) != 0;
    }
}
