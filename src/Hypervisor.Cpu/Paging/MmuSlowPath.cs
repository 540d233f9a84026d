using System;
using Hypervisor.Core.Memory;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Paging;

/// <summary>What an access does when the TLB did not answer: checks, walk, page crossings, MMIO.</summary>
internal sealed unsafe partial class MmuSlowPath(Vcpu vcpu, Tlb tlb)
{
    private readonly CpuState* _state = vcpu.State;
    private readonly GuestRam _ram = vcpu.Ram;

    // Between BeginWrite and EndWrite through the scratch buffer: where its two parts go.
    private ulong _firstGpa;
    private ulong _secondGpa;
    private int _firstBytes;
    private int _secondBytes;

    internal ulong AddressLineMask { get; set; } = ulong.MaxValue;

    internal byte* RamBase => _ram.Base;

    internal int CurrentMode()
    {
        if (_state->Cpl != 3)
        {
            return (_state->Rflags & Rflags.AlignmentCheck) != 0 ? TlbMode.SupervisorOverride : TlbMode.Supervisor;
        }

        bool isChecked = (_state->Rflags & Rflags.AlignmentCheck) != 0 && (_state->Cr0 & Cr0.AlignmentMask) != 0;
        return isChecked ? TlbMode.Checked : TlbMode.User;
    }

    /// <summary>
    /// Finishes the linear address of an operand whose sum of registers is in <paramref name="linear"/>.
    /// </summary>
    internal bool TrySegmentedAddress(Operation* op, int sizeBytes, MemoryAccess access, ref ulong linear)
    {
        ulong offset = op->AddressBytes == 8 ? linear : op->AddressBytes == 4 ? (uint)linear : (ushort)linear;
        if (op->AddressKind == AddressKind.Legacy)
        {
            return TryLegacy(op->Segment, offset, sizeBytes, access, out linear);
        }

        linear = op->Segment >= SegmentRegister.Fs ? offset + _state->Segments[op->Segment].Base : offset;
        return true;
    }

    /// <summary>Segment checks outside 64-bit mode. Spec: SDM volume 3, 5.3 (limits), 5.5 (types).</summary>
    internal bool TryLegacy(int segment, ulong offset, int sizeBytes, MemoryAccess access, out ulong linear)
    {
        ref readonly Segment register = ref _state->Segments[segment];
        uint first = (uint)offset;
        uint last = first + (uint)(sizeBytes - 1);
        linear = (uint)(register.Base + first);

        uint attributes = register.Attributes;
        bool isCode = (attributes & SegmentBits.Code) != 0;
        bool allowed = (attributes & (SegmentBits.Present | SegmentBits.Unusable)) == SegmentBits.Present
            && (access == MemoryAccess.Write
                ? !isCode && (attributes & SegmentBits.WritableOrReadable) != 0
                : !isCode || (attributes & SegmentBits.WritableOrReadable) != 0);

        bool inside;
        if (!isCode && (attributes & SegmentBits.ExpandDownOrConforming) != 0)
        {
            uint top = (attributes & SegmentBits.Big) != 0 ? uint.MaxValue : 0xFFFF;
            inside = first > register.Limit && last >= first && last <= top;
        }
        else
        {
            // A 4 GiB segment lets an access wrap around its end, as hardware does.
            inside = register.Limit == uint.MaxValue || (last <= register.Limit && last >= first);
        }

        if (allowed && inside)
        {
            return true;
        }

        RaiseSegment(segment);
        return false;
    }

    /// <summary>Reads up to 64 bytes; the pointer is RAM or the scratch buffer. Null: fault.</summary>
    internal byte* Read(ulong linear, int sizeBytes, int segment, int mode)
    {
        if (!CheckAddress(linear, sizeBytes, segment, mode))
        {
            return null;
        }

        if (vcpu.Debug.HasBreakpoints)
        {
            vcpu.Debug.OnAccess(linear, sizeBytes, isWrite: false);
        }

        int first = Math.Min(sizeBytes, 0x1000 - (int)(linear & 0xFFF));
        if (!TryTranslate(linear, MemoryAccess.Read, mode, out ulong gpa, out byte* host))
        {
            return null;
        }

        if (first == sizeBytes && host != null)
        {
            return host;
        }

        ulong secondGpa = 0;
        if (first < sizeBytes && !TryTranslate(Next(linear, first), MemoryAccess.Read, mode, out secondGpa, out _))
        {
            return null;
        }

        ReadPhysical(gpa, _state->Scratch, first);
        if (first < sizeBytes)
        {
            ReadPhysical(secondGpa, _state->Scratch + first, sizeBytes - first);
        }

        return _state->Scratch;
    }

    /// <summary>
    /// Checks a store of up to 64 bytes and says where to put it: RAM or the scratch buffer. Null: fault.
    /// </summary>
    internal byte* BeginWrite(ulong linear, int sizeBytes, int segment, int mode, bool keep)
    {
        if (!CheckAddress(linear, sizeBytes, segment, mode))
        {
            return null;
        }

        if (vcpu.Debug.HasBreakpoints)
        {
            vcpu.Debug.OnAccess(linear, sizeBytes, isWrite: true);
        }

        int first = Math.Min(sizeBytes, 0x1000 - (int)(linear & 0xFFF));
        if (!TryTranslate(linear, MemoryAccess.Write, mode, out ulong gpa, out byte* host))
        {
            return null;
        }

        if (first == sizeBytes && host != null)
        {
            _ram.PrepareWrite(host - _ram.Base, sizeBytes);
            ArmWrite(linear, host, mode);
            return host;
        }

        ulong secondGpa = 0;
        if (first < sizeBytes && !TryTranslate(Next(linear, first), MemoryAccess.Write, mode, out secondGpa, out _))
        {
            return null;
        }

        (_firstGpa, _firstBytes) = (gpa, first);
        (_secondGpa, _secondBytes) = (secondGpa, sizeBytes - first);
        if (keep)
        {
            ReadPhysical(gpa, _state->Scratch, first);
            if (_secondBytes > 0)
            {
                ReadPhysical(secondGpa, _state->Scratch + first, _secondBytes);
            }
        }

        return _state->Scratch;
    }

    /// <summary>Stores the scratch buffer where BeginWrite decided.</summary>
    internal void EndWrite()
    {
        WritePhysical(_firstGpa, _state->Scratch, _firstBytes);
        if (_secondBytes > 0)
        {
            WritePhysical(_secondGpa, _state->Scratch + _firstBytes, _secondBytes);
        }
    }

    /// <summary>Translates for instruction fetch.</summary>
    internal byte* Fetch(ulong linear, int mode, out bool isFault)
    {
        isFault = !CheckAddress(linear, 1, SegmentRegister.Cs, TlbMode.Supervisor)
            || !TryTranslate(linear, MemoryAccess.Execute, mode, out _, out _);
        if (isFault)
        {
            return null;
        }

        TlbEntry entry = tlb.Slot(mode, linear);
        return TlbEntry.Hits(entry.ExecuteTag, linear, 1)
            ? (byte*)(linear + entry.Addend)
            : null;
    }

    // In legacy modes linear addresses wrap at 4 GiB.
    private ulong Next(ulong linear, int bytes)
        => _state->CodeMode == 2 ? linear + (ulong)bytes : (uint)(linear + (ulong)bytes);

    private bool CheckAddress(ulong linear, int sizeBytes, int segment, int mode)
    {
        if (_state->LongMode != 0)
        {
            ulong last = linear + (ulong)(sizeBytes - 1);
            if ((ulong)((long)(linear << 16) >> 16) != linear || (ulong)((long)(last << 16) >> 16) != last)
            {
                RaiseSegment(segment);
                return false;
            }
        }

        if (mode == TlbMode.Checked && sizeBytes is 2 or 4 or 8 && (linear & (ulong)(sizeBytes - 1)) != 0)
        {
            vcpu.Raise(ExceptionVector.AlignmentCheck, 0);
            return false;
        }

        return true;
    }

    private bool TryTranslate(ulong linear, MemoryAccess access, int mode, out ulong gpa, out byte* host)
    {
        bool isUser = mode >= TlbMode.User;
        bool allowUserPages = mode == TlbMode.SupervisorOverride
            || (_state->Cr4 & Cr4.SupervisorAccessPrevention) == 0;
        host = null;
        if (!PageWalk.TryTranslate(
            _state, _ram, linear, access, isUser, allowUserPages, out PageTranslation page, out uint error))
        {
            gpa = 0;
            _state->Cr2 = linear;
            vcpu.Raise(ExceptionVector.PageFault, error);
            return false;
        }

        gpa = page.Gpa & AddressLineMask;
        if (!IsApicPage(gpa) && _ram.TryGetOffset(gpa, 1, out long offset))
        {
            host = _ram.Base + offset;
            if (mode != TlbMode.Checked && !IsWatched(linear))
            {
                tlb.Fill(
                    mode,
                    linear,
                    _ram.Base + (offset & ~0xFFFL),
                    page,
                    PageWalk.IsAllowed(_state, page, MemoryAccess.Read, isUser, allowUserPages),
                    page.IsDirty && IsPlain(offset)
                        && PageWalk.IsAllowed(_state, page, MemoryAccess.Write, isUser, allowUserPages),
                    PageWalk.IsAllowed(_state, page, MemoryAccess.Execute, isUser, allowUserPages));
            }
        }

        return true;
    }

    private bool IsApicPage(ulong gpa) => vcpu.LocalApic.HasPage && (gpa & ~0xFFFul) == vcpu.LocalApic.PageGpa;

    // Data breakpoints see every access to their page.
    private bool IsWatched(ulong linear) => vcpu.Debug.HasBreakpoints && vcpu.Debug.IsWatched(linear);

    private bool IsPlain(long offset) => _ram.States[offset >> 12] == (byte)PageState.Dirty;

    // After PrepareWrite the page is usually plainly dirty: stores may go fast from now on.
    private void ArmWrite(ulong linear, byte* host, int mode)
    {
        if (mode != TlbMode.Checked && !IsWatched(linear) && IsPlain(host - _ram.Base))
        {
            tlb.ArmWrite(mode, linear, host);
        }
    }

    private void RaiseSegment(int segment)
        => vcpu.Raise(
            segment == SegmentRegister.Ss ? ExceptionVector.StackFault : ExceptionVector.GeneralProtection, 0);

    private void ReadPhysical(ulong gpa, byte* target, int count)
    {
        if (_ram.TryRead(gpa, new Span<byte>(target, count)))
        {
            return;
        }

        while (count > 0)
        {
            int size = AccessSize(gpa, count);
            ulong value = IsApicPage(gpa)
                ? vcpu.LocalApic.ReadPage((int)gpa & 0xFFF, size)
                : vcpu.Bus.ReadMmio(gpa, size);
            new ReadOnlySpan<byte>(&value, size).CopyTo(new Span<byte>(target, size));
            gpa += (ulong)size;
            target += size;
            count -= size;
        }
    }

    private void WritePhysical(ulong gpa, byte* source, int count)
    {
        if (_ram.TryWrite(gpa, new ReadOnlySpan<byte>(source, count)))
        {
            return;
        }

        while (count > 0)
        {
            int size = AccessSize(gpa, count);
            ulong value = 0;
            new ReadOnlySpan<byte>(source, size).CopyTo(new Span<byte>(&value, size));
            if (IsApicPage(gpa))
            {
                vcpu.LocalApic.WritePage((int)gpa & 0xFFF, size, value);
            }
            else
            {
                vcpu.Bus.WriteMmio(gpa, size, value);
            }

            gpa += (ulong)size;
            source += size;
            count -= size;
        }
    }

    // A bus access is 1, 2, 4 or 8 bytes and naturally aligned.
    private static int AccessSize(ulong gpa, int count)
    {
        int size = 8;
        while (size > count || (gpa & (ulong)(size - 1)) != 0)
        {
            size /= 2;
        }

        return size;
    }
}
