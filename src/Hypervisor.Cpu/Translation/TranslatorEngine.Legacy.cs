using System;
using System.Runtime.CompilerServices;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Translation;

/// <content>Code of 16 and 32 bits, where RIP is an offset in CS.</content>
/// <remarks>
/// Generated code deals in linear addresses, with the base of CS above them (see <see cref="LegacyState.CodeKey"/>): so
/// RIP is put together on the way in and taken apart on the way out. It runs on pages only, or parts of pages, that lie
/// within the limit of CS; whatever leaves them is looked up here, and is interpreted if it faults.
/// </remarks>
internal sealed unsafe partial class TranslatorEngine
{
    private const ulong OffsetMask = 0xFFF;
    private const ulong LastPage = 0xFFFF_F000; // nothing there: behind it addresses begin anew
    private const int PageBytes = 4096;

    private readonly PageShapes _shapes = new();
    private readonly ulong[] _lastOffsets = new ulong[Variant.LegacySets]; // of CS, by mode
    private readonly LegacyState* _legacy;

    private JumpCache Jumps(Variant variant)
        => variant.IsLegacy ? _vcpu.Mmu.Tlb.LegacyJumps : _vcpu.Mmu.Tlb.Jumps;

    // RIP from what generated code takes for it.
    private static ulong OffsetOf(ulong target) => (uint)(target - (target >> 32));

    // Before generated code runs: what it knows of the segments.
    private void BeginLegacy(Variant variant)
    {
        if (variant.IsFlat)
        {
            SetSegment(SegmentRegister.Fs);
            SetSegment(SegmentRegister.Gs);
            return;
        }

        for (int segment = 0; segment < LegacyState.SegmentCount; segment++)
        {
            SetSegment(segment);
        }

        ulong start = (uint)_state->Segments[SegmentRegister.Cs].Base;
        _legacy->CodeKey = start << 32;
        _legacy->MinusCodeBase = 0 - start;
        _state->Rip = (uint)(start + _state->Rip) | (start << 32);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void SetSegment(int number) => _legacy->SetSegment(number, _state->Segments[number]);

    // The linear address of RIP, and what generated code takes for it. False: no code is translated there.
    private bool TryPlace(ref Variant variant, out ulong linear, out ulong target)
    {
        ref readonly Segment code = ref _state->Segments[SegmentRegister.Cs];
        ulong start = (uint)code.Base;
        ulong offset = _state->Rip;
        linear = (uint)(start + offset);
        target = linear | (start << 32);
        ulong last = variant.IsCode16 ? Math.Min(code.Limit, ushort.MaxValue) : code.Limit;
        if (offset > last || linear >= LastPage)
        {
            return false;
        }

        if (variant.IsFlat)
        {
            return true;
        }

        // Jumps are believed to end within the limit when they were looked up.
        if (last != _lastOffsets[variant.Mode])
        {
            _vcpu.Mmu.Tlb.LegacyJumps.Flush(variant.Mode);
            _lastOffsets[variant.Mode] = last;
        }

        long first = (long)offset - (long)(linear & OffsetMask); // offset in CS of the page
        if (first + PageBytes > uint.MaxValue)
        {
            return false; // code that runs over the end of 4 GiB
        }

        int low = (int)Math.Max(0, -first);
        int high = (int)Math.Min(PageBytes, (long)last + 1 - first);
        if (!_shapes.TryFind(low, high, out int shape))
        {
            Clear();
            _shapes.Clear();
            _shapes.TryFind(low, high, out shape);
        }

        variant = variant.OnPage(shape);
        return true;
    }
}
