using System.Runtime.CompilerServices;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Paging;

/// <summary>Guest memory as instructions see it: segmentation, TLB, page walk, MMIO, dirty marks.</summary>
/// <remarks>
/// Every access that can fault does so before it changes anything. A method that returns false or null has recorded the
/// exception; the caller returns <see cref="Outcome.Fault"/> at once.
/// </remarks>
internal sealed unsafe class Mmu
{
    private readonly CpuState* _state;
    private readonly MmuSlowPath _slow;

    internal Mmu(Vcpu vcpu)
    {
        _state = vcpu.State;
        Tlb = new Tlb(vcpu.Memory.Tlb, vcpu.Memory.Jumps, vcpu.Memory.LegacyJumps, vcpu.Ram);
        _slow = new MmuSlowPath(vcpu, Tlb);
        UpdateMode();
    }

    internal Tlb Tlb { get; }

    /// <summary>
    /// AND-mask for physical addresses: bit 20 is clear while the A20 gate is shut. Flush after a change.
    /// </summary>
    internal ulong AddressLineMask
    {
        get => _slow.AddressLineMask;
        set => _slow.AddressLineMask = value;
    }

    /// <summary>TlbMode of data accesses now.</summary>
    internal int CurrentMode => _slow.CurrentMode();

    /// <summary>
    /// For generated code: host address of an access; null: leave for <paramref name="reason"/>.
    /// </summary>
    internal byte* Access(
        ulong linear, Translation.AccessDescriptor access, out Translation.ExitReason reason)
        => _slow.Access(linear, access, out reason);

    /// <summary>Chooses the TLB table anew: call after a change of CPL, RFLAGS.AC, CR0.AM or CR4.SMAP.</summary>
    internal void UpdateMode() => _state->Tlb = Tlb.Table(_slow.CurrentMode());

    /// <summary>Linear address of the memory operand; false when segmentation forbids the access.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryAddress(Operation* op, int sizeBytes, MemoryAccess access, out ulong linear)
    {
        byte* registers = (byte*)_state;
        linear = *(ulong*)(registers + op->Base) + (*(ulong*)(registers + op->Index) << op->ScaleShift)
            + (ulong)op->Displacement;
        return op->AddressKind == AddressKind.Flat64 || _slow.TrySegmentedAddress(op, sizeBytes, access, ref linear);
    }

    /// <summary>Offset part of the memory operand, truncated to the address size: LEA and bit strings.</summary>
    internal ulong EffectiveAddress(Operation* op)
    {
        byte* registers = (byte*)_state;
        ulong offset = *(ulong*)(registers + op->Base) + (*(ulong*)(registers + op->Index) << op->ScaleShift)
            + (ulong)op->Displacement;
        return op->AddressBytes == 8 ? offset : op->AddressBytes == 4 ? (uint)offset : (ushort)offset;
    }

    /// <summary>Reads the memory operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryRead<T>(Operation* op, out T value)
        where T : unmanaged
    {
        if (!TryAddress(op, sizeof(T), MemoryAccess.Read, out ulong linear))
        {
            value = default;
            return false;
        }

        return TryReadLinear(linear, op->Segment, out value);
    }

    /// <summary>Writes the memory operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryWrite<T>(Operation* op, T value)
        where T : unmanaged
        => TryAddress(op, sizeof(T), MemoryAccess.Write, out ulong linear)
            && TryWriteLinear(linear, op->Segment, value);

    /// <summary>Reads at a linear address with the current privilege; the segment only chooses #GP or #SS.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryReadLinear<T>(ulong linear, int segment, out T value)
        where T : unmanaged
    {
        TlbEntry entry = TlbEntry.Of(_state->Tlb, linear);
        if (TlbEntry.Hits(entry.ReadTag, linear, sizeof(T)))
        {
            value = *(T*)(linear + entry.Addend);
            return true;
        }

        byte* data = _slow.Read(linear, sizeof(T), segment, _slow.CurrentMode());
        value = data != null ? *(T*)data : default;
        return data != null;
    }

    /// <summary>Writes at a linear address with the current privilege.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryWriteLinear<T>(ulong linear, int segment, T value)
        where T : unmanaged
    {
        TlbEntry entry = TlbEntry.Of(_state->Tlb, linear);
        if (TlbEntry.Hits(entry.WriteTag, linear, sizeof(T)))
        {
            *(T*)(linear + entry.Addend) = value;
            return true;
        }

        byte* data = _slow.BeginWrite(linear, sizeof(T), segment, _slow.CurrentMode(), false);
        if (data == null)
        {
            return false;
        }

        *(T*)data = value;
        EndWrite(data);
        return true;
    }

    /// <summary>
    /// Begins a read-modify-write of the memory operand. The pointer holds the current value; store the new one there,
    /// then call <see cref="EndWrite"/>. Null: fault. Nothing may fault between the two calls.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal T* BeginUpdate<T>(Operation* op)
        where T : unmanaged
        => TryAddress(op, sizeof(T), MemoryAccess.Write, out ulong linear)
            ? BeginUpdateLinear<T>(linear, op->Segment)
            : null;

    /// <summary>As <see cref="BeginUpdate{T}"/>, at a linear address.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal T* BeginUpdateLinear<T>(ulong linear, int segment)
        where T : unmanaged
    {
        TlbEntry entry = TlbEntry.Of(_state->Tlb, linear);
        return TlbEntry.Hits(entry.WriteTag, linear, sizeof(T))
            ? (T*)(linear + entry.Addend)
            : (T*)_slow.BeginWrite(linear, sizeof(T), segment, _slow.CurrentMode(), true);
    }

    /// <summary>Ends what BeginUpdate or BeginWrite began: moves data that did not go to RAM directly.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void EndWrite(void* data)
    {
        if (data == _state->Scratch)
        {
            _slow.EndWrite();
        }
    }

    /// <summary>Bytes of a memory operand of any size up to 64, for reading; null: fault.</summary>
    internal byte* BeginRead(Operation* op, int sizeBytes)
        => TryAddress(op, sizeBytes, MemoryAccess.Read, out ulong linear)
            ? BeginReadLinear(linear, sizeBytes, op->Segment)
            : null;

    /// <summary>As <see cref="BeginRead"/>, at a linear address.</summary>
    internal byte* BeginReadLinear(ulong linear, int sizeBytes, int segment)
    {
        TlbEntry entry = TlbEntry.Of(_state->Tlb, linear);
        return TlbEntry.Hits(entry.ReadTag, linear, sizeBytes)
            ? (byte*)(linear + entry.Addend)
            : _slow.Read(linear, sizeBytes, segment, _slow.CurrentMode());
    }

    /// <summary>
    /// Where to store a memory operand of any size up to 64; null: fault. With <paramref name="keep"/> the pointer
    /// holds the current bytes. End with <see cref="EndWrite"/>.
    /// </summary>
    internal byte* BeginWrite(Operation* op, int sizeBytes, bool keep)
        => TryAddress(op, sizeBytes, MemoryAccess.Write, out ulong linear)
            ? BeginWriteLinear(linear, sizeBytes, op->Segment, keep)
            : null;

    /// <summary>As <see cref="BeginWrite"/>, at a linear address.</summary>
    internal byte* BeginWriteLinear(ulong linear, int sizeBytes, int segment, bool keep)
    {
        TlbEntry entry = TlbEntry.Of(_state->Tlb, linear);
        return TlbEntry.Hits(entry.WriteTag, linear, sizeBytes)
            ? (byte*)(linear + entry.Addend)
            : _slow.BeginWrite(linear, sizeBytes, segment, _slow.CurrentMode(), keep);
    }

    /// <summary>
    /// Host address of a range within one page of RAM that the TLB already grants; null: use the slow way.
    /// </summary>
    internal byte* TryPiece(ulong linear, int sizeBytes, bool isWrite)
    {
        TlbEntry entry = TlbEntry.Of(_state->Tlb, linear);
        return TlbEntry.Hits(isWrite ? entry.WriteTag : entry.ReadTag, linear, sizeBytes)
            ? (byte*)(linear + entry.Addend)
            : null;
    }

    /// <summary>
    /// Implicit supervisor read (descriptor tables, TSS): no CPL, SMAP enforced. Spec: SDM volume 3, 4.6.1.
    /// </summary>
    internal bool TryReadSystem<T>(ulong linear, out T value)
        where T : unmanaged
    {
        TlbEntry entry = Tlb.Slot(TlbMode.Supervisor, linear);
        byte* data = TlbEntry.Hits(entry.ReadTag, linear, sizeof(T))
            ? (byte*)(linear + entry.Addend)
            : _slow.Read(linear, sizeof(T), SegmentRegister.Ds, TlbMode.Supervisor);
        value = data != null ? *(T*)data : default;
        return data != null;
    }

    /// <summary>Implicit supervisor write (busy and accessed bits, TSS).</summary>
    internal bool TryWriteSystem<T>(ulong linear, T value)
        where T : unmanaged
    {
        byte* data = _slow.BeginWrite(linear, sizeof(T), SegmentRegister.Ds, TlbMode.Supervisor, false);
        if (data == null)
        {
            return false;
        }

        *(T*)data = value;
        EndWrite(data);
        return true;
    }

    /// <summary>Linear address of <paramref name="offset"/> in a segment for string operands and the stack.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TrySegment(int segment, ulong offset, int sizeBytes, MemoryAccess access, out ulong linear)
    {
        if (_state->CodeMode == 2)
        {
            linear = segment >= SegmentRegister.Fs ? offset + _state->Segments[segment].Base : offset;
            return true;
        }

        return _slow.TryLegacy(segment, offset, sizeBytes, access, out linear);
    }

    /// <summary>Pushes a value of 2, 4 or 8 bytes; RSP moves only when the store succeeded.</summary>
    internal bool TryPush<T>(T value)
        where T : unmanaged
    {
        ulong pointer = (_state->Gpr[4] - (ulong)sizeof(T)) & _state->StackMask;
        if (!TrySegment(SegmentRegister.Ss, pointer, sizeof(T), MemoryAccess.Write, out ulong linear)
            || !TryWriteLinear(linear, SegmentRegister.Ss, value))
        {
            return false;
        }

        SetStackPointer(pointer);
        return true;
    }

    /// <summary>Reads the value at the top of the stack plus <paramref name="offset"/> bytes; RSP stays.</summary>
    internal bool TryPeek<T>(int offset, out T value)
        where T : unmanaged
    {
        value = default;
        ulong pointer = (_state->Gpr[4] + (ulong)offset) & _state->StackMask;
        return TrySegment(SegmentRegister.Ss, pointer, sizeof(T), MemoryAccess.Read, out ulong linear)
            && TryReadLinear(linear, SegmentRegister.Ss, out value);
    }

    /// <summary>Moves RSP by <paramref name="bytes"/> within the stack's width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void AddToStackPointer(long bytes) => SetStackPointer((_state->Gpr[4] + (ulong)bytes) & _state->StackMask);

    /// <summary>
    /// Sets RSP within the stack's width: a 16-bit stack keeps the upper bits, a 32-bit one clears them.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void SetStackPointer(ulong pointer)
        => _state->Gpr[4] = _state->StackMask == 0xFFFF ? (_state->Gpr[4] & ~0xFFFFul) | pointer : pointer;

    /// <summary>Host address of the instruction byte at <paramref name="linear"/>; null: fault or not RAM.</summary>
    /// <remarks>Not RAM: <paramref name="isFault"/> is false; executing device memory is not supported.</remarks>
    internal byte* TryFetch(ulong linear, out bool isFault)
    {
        int mode = _state->Cpl == 3 ? TlbMode.User : TlbMode.Supervisor;
        TlbEntry entry = Tlb.Slot(mode, linear);
        isFault = false;
        return TlbEntry.Hits(entry.ExecuteTag, linear, 1)
            ? (byte*)(linear + entry.Addend)
            : _slow.Fetch(linear, mode, out isFault);
    }

    /// <summary>RAM offset of a host address that <see cref="TryFetch"/> gave.</summary>
    internal long RamOffset(byte* host) => host - _slow.RamBase;
}
