using System;
using System.Runtime.InteropServices;
using Hypervisor.Core.Time;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.Instructions;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Translation;

/// <summary>Runs translated code: the engine that people use. Cold code is interpreted.</summary>
internal sealed unsafe partial class TranslatorEngine : IDisposable
{
    private const ulong PackedOverflow = 1;
    private const int PackedShift = 8;
    private const ulong PackedMask = Rflags.Carry | Rflags.Parity | Rflags.Adjust | Rflags.Zero | Rflags.Sign;
    private const int OverflowShift = 11;
    private const uint HostMxcsr = 0x1F80;

    private readonly Vcpu _vcpu;
    private readonly CpuState* _state;
    private readonly EngineState* _engine;
    private readonly Interpreter.Interpreter _interpreter;
    private readonly HostClock _hostClock = new(); // for statistics only
    private readonly int _hitsBeforeTranslation;
    private readonly TranslationCache _cache;
    private readonly BlockTranslator _translator;
    private GCHandle _handle;

    // What the entries of the jump caches take for granted, by set.
    private readonly Variant[] _variants = new Variant[Variant.SetCount];

    internal TranslatorEngine(Vcpu vcpu, Interpreter.Interpreter interpreter, VcpuConfig config)
    {
        _vcpu = vcpu;
        _state = vcpu.State;
        _engine = vcpu.Memory.Engine;
        _interpreter = interpreter;
        _hitsBeforeTranslation = config.HitsBeforeTranslation;
        _cache = new TranslationCache(config.TranslatedCodeBytes, vcpu.Ram.PageCount, vcpu.Memory.FarLinks);
        _translator = new BlockTranslator(vcpu, _cache, _shapes, config);
        for (int mode = 0; mode <= TlbMode.User; mode++)
        {
            vcpu.Mmu.Tlb.Jumps.SetUnknownReturn(mode, _translator.Stale(mode));
            vcpu.Mmu.Tlb.LegacyJumps.SetUnknownReturn(mode, _translator.Stale(mode));
        }

        vcpu.Mmu.Tlb.Jumps.OnRepeat = _cache.ForgetFarLinks;
        vcpu.Mmu.Tlb.LegacyJumps.OnRepeat = _cache.ForgetFarLinks;
        _handle = GCHandle.Alloc(vcpu);
        _engine->Handle = GCHandle.ToIntPtr(_handle);
        _engine->AccessFunction = (delegate* unmanaged<CpuState*, ulong, ulong, byte*>)&Access;
        _legacy = vcpu.Memory.Legacy;
        _legacy->SignBit = 1ul << 63;
        _legacy->HighHalf = ~(ulong)uint.MaxValue;
        _engine->TlbSlotBits = (ulong)(TlbEntry.SlotCount - 1) << 12;
        _engine->JumpSlotBits = JumpCache.SlotBits;
        _engine->ReturnSlotBits = ReturnCache.SlotBits;
        _engine->AnswerSlotBits = KnownAnswers.SlotBits;
        _engine->DirectionBit = Rflags.Direction;
        _engine->AccessWriteBit = AccessDescriptor.WriteBit;
        _engine->AccessSizeBits = AccessDescriptor.SizeBits;
        _engine->AccessAlignmentBits = AccessDescriptor.AlignmentBits;
        _engine->SecondHitsBits = 15;
        _engine->PageBits = ~0xFFFul;
        _engine->Aligned16Bits = ~0xFFFul | 15;
        _engine->Aligned32Bits = ~0xFFFul | 31;
        _engine->HostMxcsr = HostMxcsr;
        _engine->Aligned64Bits = ~0xFFFul | 63;
        _engine->IsFpuParked = 1;
        _engine->IsWideParked = 1;
        _engine->MxcsrMaskBits = SimdExceptions.Masks;
        _engine->MxcsrReservedBits = ~(ulong)SimdExceptions.Defined;
    }

    /// <summary>Whether this host can run what is generated.</summary>
    internal static bool IsSupported
        => System.Runtime.Intrinsics.X86.Bmi2.X64.IsSupported && System.Runtime.Intrinsics.X86.Avx2.IsSupported;

    /// <summary>Runs until an event.</summary>
    internal void RunBlocks()
    {
        while (_state->Events == 0)
        {
            TranslatedBlock* block = Variant.TryGet(_vcpu, out Variant variant) ? Find(variant) : null;
            if (block != null)
            {
                Execute(variant, block->Indirect);
            }
            else
            {
                _vcpu.Statistics.InterpretedBlocks++;
                ParkFpu();
                _interpreter.RunNext();
            }
        }

        ParkFpu();
    }

    /// <summary>Drops the translations on some lines of a page.</summary>
    /// <returns>Lines of those that stay.</returns>
    internal ulong Drop(long page, ulong lines) => _cache.Drop(page, lines);

    /// <summary>Makes room for new translations. Not while generated code calls.</summary>
    internal void MakeRoom()
    {
        long began = _hostClock.NowNanos;
        if (_cache.MoveOn())
        {
            _vcpu.Mmu.Tlb.Jumps.FlushAll();
            _vcpu.Mmu.Tlb.LegacyJumps.FlushAll();
            EngineStatistics statistics = _vcpu.Statistics;
            statistics.Evictions++;
            statistics.LongestEvictionNanos
                = Math.Max(statistics.LongestEvictionNanos, (ulong)(_hostClock.NowNanos - began));
        }
    }

    /// <summary>Drops all translations. Not while generated code calls.</summary>
    internal void Clear()
    {
        _cache.Clear();
        _vcpu.Mmu.Tlb.Jumps.FlushAll();
        _vcpu.Mmu.Tlb.LegacyJumps.FlushAll();
    }

    /// <summary>
    /// Translates the code at <paramref name="host"/>, on the page at <paramref name="linearPage"/>. Null: its first
    /// instruction goes on in a page that is not there.
    /// </summary>
    internal TranslatedBlock* Translate(byte* host, ulong linearPage, Variant variant)
    {
        long began = _hostClock.NowNanos;
        TranslatedBlock* block = _translator.Translate(host, linearPage, variant);
        if (block != null)
        {
            _vcpu.Statistics.TranslationNanos += (ulong)(_hostClock.NowNanos - began);
            _vcpu.Statistics.TranslatedBlocks++;
            _vcpu.Statistics.TranslatedInstructions += (ulong)block->InstructionCount;
        }

        return block;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _cache.Dispose();
        _handle.Free();
    }

    // The translation at RIP, made if the code has been interpreted often enough. Null: interpret it.
    private TranslatedBlock* Find(Variant variant)
    {
        if (variant.IsCareful)
        {
            return FindCareful(variant);
        }

        if (variant != _variants[variant.Set])
        {
            Jumps(variant).Flush(variant.Mode);
            _variants[variant.Set] = variant;
        }

        ulong linear = _state->Rip;
        ulong target = linear;
        if (variant.IsLegacy && !TryPlace(ref variant, out linear, out target))
        {
            return null;
        }

        byte* host = _vcpu.Mmu.TryFetch(linear, out _);
        if (host == null)
        {
            return null;
        }

        TranslatedBlock* block = _cache.Find(Key(host, variant));
        if (block == null)
        {
            if (!_vcpu.Blocks.IsHot(host, variant.CodeMode, _hitsBeforeTranslation))
            {
                return null;
            }

            block = Translate(host, linear & ~0xFFFul, variant);
            if (block == null)
            {
                return null;
            }
        }

        int fetchMode = variant.Mode == TlbMode.User ? TlbMode.User : TlbMode.Supervisor;
        bool isGlobal = _vcpu.Mmu.Tlb.IsGlobal(fetchMode, linear);
        Jumps(variant).Fill(variant.Mode, target, block->Indirect, isGlobal);
        return block;
    }

    // Runs code until it leaves for something that changes RIP or the mode in ways that it does not know.
    private void Execute(Variant variant, byte* code)
    {
        var enter = (delegate* unmanaged<CpuState*, byte*, int>)_translator.Enter(variant.Mode);
        _vcpu.Mmu.Tlb.LegacyJumps.IsRunning = variant.IsLegacy;
        while (code != null)
        {
            _engine->PackedFlags = Pack(ArithmeticFlags.Read(_state));
            if (variant.IsLegacy)
            {
                BeginLegacy(variant);
            }

            var reason = (ExitReason)enter(_state, code);
            if (variant.IsLegacy)
            {
                _state->Rip = OffsetOf(_state->Rip);
            }

            _vcpu.Statistics.CountExit(reason);
            ulong packed = _engine->PackedFlags;
            ArithmeticFlags.WriteArithmetic(
                _state, ((packed >> PackedShift) & PackedMask) | ((packed & PackedOverflow) << OverflowShift));
            code = reason switch
            {
                ExitReason.Unlinked => Link((int)_engine->ExitArgument, variant),
                ExitReason.Interpret => Interpret((InterpretedOperation*)_engine->ExitArgument),
                ExitReason.InterpretOne => InterpretOne(),
                ExitReason.UnknownTarget => FindTarget(
                    variant.IsLegacy ? OffsetOf(_engine->ExitArgument) : _engine->ExitArgument),
                ExitReason.Careful => FindCareful(),
                ExitReason.Fault => Deliver(),
                ExitReason.Lookup or ExitReason.Events => null,
            };
        }

        _vcpu.Mmu.Tlb.LegacyJumps.IsRunning = false;
    }

    private static ulong Pack(ulong flags)
        => ((flags & PackedMask) << PackedShift) | ((flags >> OverflowShift) & PackedOverflow);

    // A link is for good, so it joins only blocks that take the same for granted.
    private byte* Link(int number, Variant variant)
    {
        int generation = _cache.Generation;
        if (!Variant.TryGet(_vcpu, out Variant now) || now != variant)
        {
            return null;
        }

        bool isCareful = _cache.IsCareful(number);
        TranslatedBlock* target = Find(isCareful ? variant.Careful : variant);
        if (target == null)
        {
            return isCareful ? InterpretOne() : null;
        }

        if (generation == _cache.Generation)
        {
            _cache.Link(number, target, Jumps(variant).Epoch(variant.Mode) - _engine->CodeBase);
        }

        return target->Indirect;
    }

    // Behind an access whose hull crosses a page. It always goes on: the block that was left begins there perhaps.
    private byte* FindCareful()
    {
        TranslatedBlock* block = Variant.TryGet(_vcpu, out Variant variant) ? FindCareful(variant.Careful) : null;
        return block != null ? block->Indirect : InterpretOne();
    }

    // Never in the jump cache: nobody jumps there.
    private TranslatedBlock* FindCareful(Variant variant)
    {
        byte* host = _vcpu.Mmu.TryFetch(_state->Rip, out _);
        if (host == null)
        {
            return null;
        }

        TranslatedBlock* block = _cache.Find(Key(host, variant));
        if (block == null)
        {
            _vcpu.Blocks.BeginReading(_vcpu.Mmu.RamOffset(host) >> 12);
            block = Translate(host, _state->Rip & ~0xFFFul, variant);
        }

        return block;
    }

    private static ulong Key(byte* host, Variant variant)
        => (ulong)host | ((ulong)variant.Bits << TranslationCache.VariantShift);

    private byte* Interpret(InterpretedOperation* record)
    {
        int generation = _cache.Generation;
        byte* continuation = record->Continuation;
        _vcpu.Statistics.CountInterpreted(&record->Operation);
        if (record->UsesFpu)
        {
            ParkFpu();
        }

        return _interpreter.RunOne(&record->Operation) == Outcome.Next && generation == _cache.Generation
            ? continuation
            : null;
    }

    // The jump goes on where it looks the target up, if there is code for it.
    private byte* FindTarget(ulong target)
    {
        int generation = _cache.Generation;
        byte* retry = (byte*)_engine->SavedCode;
        ulong jump = _state->Rip;
        _state->Rip = target;
        TranslatedBlock* block = Variant.TryGet(_vcpu, out Variant variant) ? Find(variant) : null;
        if (block != null && generation == _cache.Generation)
        {
            return retry; // R9, the target, is loaded from RIP
        }

        CountBefore(_engine);
        _state->Rip = jump;
        return InterpretOne();
    }

    private byte* InterpretOne()
    {
        ParkFpu();
        _interpreter.RunFirst();
        return null;
    }

    // Whoever looks at the x87 registers in the state calls this first.
    private void ParkFpu()
    {
        if (_engine->IsFpuParked == 0)
        {
            ((delegate* unmanaged<CpuState*, void>)_translator.ParkFpu)(_state);
            FpuImage.TakeOver(_state, _vcpu.Memory.Exchange);
            _engine->IsFpuParked = 1;
        }
    }

    private byte* Deliver()
    {
        _vcpu.Exceptions.DeliverFault();
        return null;
    }

    // An instruction is left before it is done.
    private static void CountBefore(EngineState* engine) => engine->InstructionCount += (ulong)engine->Uncounted;

    // Called by generated code. Null: it leaves with what is in EngineState.
    [UnmanagedCallersOnly]
    private static byte* Access(CpuState* state, ulong linear, ulong what)
    {
        var engine = (EngineState*)((byte*)state - EngineState.Bytes);
        var vcpu = (Vcpu)GCHandle.FromIntPtr(engine->Handle).Target!;
        TranslatorEngine translator = vcpu.Translator!;
        var access = new AccessDescriptor((uint)what);
        vcpu.Statistics.TlbMisses++;
        int generation = translator._cache.Generation;
        byte* data = vcpu.Mmu.Access(linear, access, out ExitReason reason);
        if (data != null && generation == translator._cache.Generation)
        {
            return data;
        }

        // A store over translated code, perhaps this very block: it is done by the interpreter.
        CountBefore(engine);
        engine->ExitRip = engine->CodeBase + (ulong)access.InstructionOffset;
        engine->ExitReason = (ulong)(data != null ? ExitReason.InterpretOne : reason);
        return null;
    }
}
