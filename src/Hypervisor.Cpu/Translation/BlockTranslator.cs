using System;
using System.Collections.Generic;
using Hypervisor.Core;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Instructions;
using Iced.Intel;
using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <summary>Turns guest code into host code.</summary>
/// <remarks>
/// A block is entered at its first instruction and left anywhere; it lies on one page and goes on behind conditional
/// jumps. Its code holds no linear address: it serves wherever the page is mapped. The guest's arithmetic flags are the
/// host's from end to end, and nothing that is put between two instructions touches them. Each instruction does all
/// that can fault before it changes anything, so that its beginning is a precise state.
/// </remarks>
internal sealed unsafe partial class BlockTranslator
{
    // A block is cut off there; then it needs no more than this, out-of-line parts and all.
    internal const int InstructionsMax = 64;

    private const int PageBytes = 4096;
    private const int State = GuestRegisters.State;
    private const int LineShift = 6;

    private static readonly BlockBounds s_bounds
        = new(CodeBytes: 32 << 10, RecordBytes: 16 << 10, Links: 8 * InstructionsMax, FarLinks: 2 * InstructionsMax);

    private readonly Vcpu _vcpu;
    private readonly bool _countsInstructions;
    private readonly TranslationCache _cache;
    private readonly BlockDecoder _lowering;
    private Emitter _code;
    private Emitter _cold; // what runs rarely lies elsewhere, so that the rest lies close together
    private readonly Instruction[] _guest = new Instruction[InstructionsMax];
    private readonly PointerReader _reader = new();
    private readonly Decoder[] _decoders; // by code mode
    private readonly Encoder _encoder;
    private readonly InstructionInfoFactory _information = new();
    private readonly EntryStubs[] _stubs = new EntryStubs[3];
    private readonly List<OutOfLine> _outOfLine = [];
    private readonly List<(int Offset, nint Host)> _instructions = [];
    private readonly Action<string>? _onTranslated;
    private readonly Action<CodeArea>? _onCode;
    private readonly BlockListing _listing;
    private readonly PageShapes _pageShapes;

    // The block at work.
    private Variant _variant;
    private EntryStubs _set;
    private bool _isFpuLoaded;
    private bool _isLastOfBlock;
    private int _guestCount;
    private int _uncounted; // instructions before the one at work that are not counted yet; -1: that one is, too
    private int _offset; // of the instruction at work, in its page
    private uint _codeMode; // 0 in 16-bit, 1 in 32-bit, 2 in 64-bit code
    private int _wordBytes; // what is pushed and popped
    private int _pageLow; // which part of the page belongs to the code segment
    private int _pageHigh;

    internal BlockTranslator(Vcpu vcpu, TranslationCache cache, PageShapes shapes, VcpuConfig config)
    {
        _vcpu = vcpu;
        _code = new Emitter { UsesLoop = config.UsesLoop };
        _cold = new Emitter { UsesLoop = config.UsesLoop };
        _countsInstructions = config.CountsInstructions;
        _onTranslated = config.OnTranslated;
        _onCode = config.OnCode;
        _cache = cache;
        _lowering = new BlockDecoder(vcpu);
        _pageShapes = shapes;
        _decoders =
        [
            Decoder.Create(16, _reader, DecoderOptions.None),
            Decoder.Create(32, _reader, DecoderOptions.None),
            Decoder.Create(64, _reader, DecoderOptions.None),
        ];
        _encoder = Encoder.Create(64, new EmitterWriter(this));
        Check.That(cache.TryBegin(_code, _cold, s_bounds));
        for (int mode = 0; mode < _stubs.Length; mode++)
        {
            _stubs[mode] = EntryStubs.Create(_code, mode, HasWideRegisters);
        }

        _onCode?.Invoke(new CodeArea((ulong)_stubs[0].Enter, _code.Length, "translator: ways in and out"));
        cache.EndFixed(_code);
        _set = _stubs[0];
        _listing = new BlockListing(_stubs);
    }

    /// <summary>See <see cref="EntryStubs.Stale"/>.</summary>
    internal byte* Stale(int mode) => _stubs[mode].Stale;

    /// <summary>The way into code of <paramref name="mode"/>.</summary>
    internal byte* Enter(int mode) => _stubs[mode].Enter;

    /// <summary>See <see cref="EntryStubs.ParkFpu"/>.</summary>
    internal byte* ParkFpu => _stubs[0].ParkFpu;

    /// <summary>
    /// Translates the code at <paramref name="host"/>, on the page at <paramref name="linearPage"/>. Null: its first
    /// instruction goes on in a page that is not there.
    /// </summary>
    internal TranslatedBlock* Translate(byte* host, ulong linearPage, Variant variant)
    {
        if (!_cache.TryBegin(_code, _cold, s_bounds))
        {
            _vcpu.Translator!.MakeRoom();
            Check.That(_cache.TryBegin(_code, _cold, s_bounds));
        }

        int start = (int)((ulong)host & (PageBytes - 1));
        _variant = variant;
        _set = _stubs[variant.Mode];
        _codeMode = variant.CodeMode;
        _wordBytes = variant.IsLegacy ? LegacyWordBytes : WordBytes;
        (_pageLow, _pageHigh) = _pageShapes[variant.Shape];
        _outOfLine.Clear();
        _instructions.Clear();
        _isFpuLoaded = false;
        _isWideLoaded = false;
        _uncounted = 0;
        bool isCut = Decode(host, start);
        BeginWindows();
        TranslatedBlock* block = _cache.Record<TranslatedBlock>();
        block->Key = (ulong)host | ((ulong)variant.Bits << TranslationCache.VariantShift);
        block->Stale = _set.Stale;
        EmitEntries(block, start);
        int end = start;
        long nextPage = -1;
        bool isEnded = false;
        for (_index = 0; !isEnded && (_index < _guestCount || isCut); _index++)
        {
            _offset = end;
            ref Instruction instruction = ref _guest[_index];
            if (_index == _guestCount)
            {
                isCut = false;
                nextPage = DecodeCrossing(host - start, linearPage, out instruction);
                if (nextPage < 0)
                {
                    break;
                }
            }

            end += instruction.Length;
            _instructions.Add((_offset, (nint)_code.Here));
            block->InstructionCount++;
            _isLastOfBlock = _index + 1 == InstructionsMax || nextPage >= 0;
            if (instruction.FlowControl != FlowControl.Next)
            {
                EmitCount(_uncounted + 1);
            }

            isEnded = Emit(instruction);
            _uncounted++;
        }

        if (block->InstructionCount == 0)
        {
            return null;
        }

        if (!isEnded)
        {
            _offset = end;
            EmitCount(_uncounted);
            EmitDirectExit(_code.JumpForward(), end);
        }

        byte* hotEnd = _code.Here;
        byte* coldStart = _cold.Here;
        (_code, _cold) = (_cold, _code);
        EmitOutOfLine();
        (_code, _cold) = (_cold, _code);
        _onTranslated?.Invoke(
            _listing.Write(host - start, _codeMode, _instructions, block->Indirect, hotEnd, coldStart, _cold.Here));
        if (_onCode != null)
        {
            string name = $"{(variant.IsSupervisor ? "kernel" : "user")} {linearPage + (ulong)start:x}";
            _onCode(new CodeArea((ulong)block->Indirect, hotEnd - block->Indirect, name));
            _onCode(new CodeArea((ulong)coldStart, _cold.Here - coldStart, name + " rare"));
        }

        int lastLine = (Math.Min(end, PageBytes) - 1) >> LineShift;
        block->Lines = (ulong.MaxValue << (start >> LineShift)) & (ulong.MaxValue >> (63 - lastLine));
        long page = _vcpu.Mmu.RamOffset(host) >> 12;
        _cache.End(_code, _cold, block, page);
        _vcpu.Blocks.MarkCode(page, block->Lines);
        if (nextPage >= 0)
        {
            _cache.AddCrossing(block, nextPage);
            _vcpu.Blocks.MarkCode(nextPage, 1);
        }

        return block;
    }

    // The instructions of the block. True: the next one goes on in the next page.
    private bool Decode(byte* host, int start)
    {
        _reader.Set(host, PageBytes - start);
        Decoder decoder = _decoders[_codeMode];
        decoder.IP = (ulong)start;
        int end = start;
        bool isEnded = false;
        for (_guestCount = 0; !isEnded && end < _pageHigh && _guestCount < InstructionsMax;)
        {
            ref Instruction instruction = ref _guest[_guestCount];
            decoder.Decode(out instruction);
            if (decoder.LastError == DecoderError.NoMoreBytes)
            {
                return true;
            }

            Normalize(ref instruction);
            _guestCount++;
            end += instruction.Length;
            isEnded = instruction.IsInvalid
                || instruction.FlowControl is not (FlowControl.Next or FlowControl.ConditionalBranch);
        }

        return false;
    }

    // From behind: with the linear address in R9; from the same page with a look at the events; without.
    private void EmitEntries(TranslatedBlock* block, int start)
    {
        _code.Align(16);
        block->Indirect = _code.Here;
        _code.Lea(R9, R9, -start);
        _code.Store(State, StateOffset.CodeBase, R9);
        block->Poll = _code.Here;
        _code.Load(Rcx, State, StateOffset.Events);
        _code.Lea(Rcx, Rcx, 1);
        _offset = start;
        Later(OutOfLineKind.Events, _code.JumpUnlessRcxIsOne());
        block->Direct = _code.Here;
    }

    // True: the block ends with it.
    private bool Emit(in Instruction instruction)
    {
        if (instruction.IsInvalid)
        {
            return EmitInterpreted(instruction);
        }

        return instruction.FlowControl switch
        {
            FlowControl.Next => EmitPlain(instruction),
            FlowControl.ConditionalBranch => EmitConditional(instruction),
            FlowControl.UnconditionalBranch => EmitJump(instruction),
            FlowControl.IndirectBranch => EmitIndirectJump(instruction),
            FlowControl.Call => EmitCall(instruction),
            FlowControl.IndirectCall => EmitIndirectCall(instruction),
            FlowControl.Return => EmitReturn(instruction),
            FlowControl.Interrupt or FlowControl.XbeginXabortXend or FlowControl.Exception
                => EmitInterpreted(instruction),
            _ => EmitInterpreted(instruction),
        };
    }

    private bool EmitPlain(in Instruction instruction)
    {
        if (_variant.IsSegmented && instruction.Code.Encoding() is (EncodingKind.VEX or EncodingKind.EVEX))
        {
            return EmitInterpreted(instruction); // #UD in real and virtual-8086 mode
        }

        if (instruction.Mnemonic is Mnemonic.Stac or Mnemonic.Clac)
        {
            return EmitAccessFlag(instruction);
        }

        bool isDone = instruction.Mnemonic switch
        {
            Mnemonic.Nop or Mnemonic.Endbr64 or Mnemonic.Endbr32 or Mnemonic.Prefetcht0 or Mnemonic.Prefetcht1
                or Mnemonic.Prefetcht2 or Mnemonic.Prefetchnta or Mnemonic.Prefetchw => !instruction.HasLockPrefix,
            Mnemonic.Push => TryEmitPush(instruction),
            Mnemonic.Pop => TryEmitPop(instruction),
            Mnemonic.Leave => TryEmitLeave(instruction),
            Mnemonic.Lea => TryEmitLea(instruction),
            Mnemonic.Stosb or Mnemonic.Stosd or Mnemonic.Stosq or Mnemonic.Movsb or Mnemonic.Movsq
                => TryEmitString(instruction),
            Mnemonic.Lodsb or Mnemonic.Lodsw or Mnemonic.Lodsd => TryEmitLoadString(instruction),
            Mnemonic.Movsd when instruction.Code == Code.Movsd_m32_m32 => TryEmitString(instruction),
            Mnemonic.Cld => TryEmitClearDirection(instruction),
            Mnemonic.Cli => TryEmitClearInterrupt(),
            Mnemonic.Sti => TryEmitSetInterrupt(instruction),
            Mnemonic.Cpuid when !_variant.IsLegacy => TryEmitIdentify(instruction),
            Mnemonic.Swapgs => TryEmitSwapGs(instruction),
            Mnemonic.Pushfq => TryEmitPushFlags(instruction),
            Mnemonic.Pushfd or Mnemonic.Pushf when _variant.IsLegacy => TryEmitPushFlags(instruction),
            Mnemonic.Ldmxcsr or Mnemonic.Vldmxcsr => TryEmitLoadMxcsr(instruction),
            Mnemonic.Div or Mnemonic.Idiv => TryEmitDivision(instruction),
            _ => IsCopied(instruction) && TryEmitCopy(instruction),
        };
        return !isDone && EmitInterpreted(instruction);
    }

    // The state goes to memory, the semantic function runs, and the block goes on unless that may change what it
    // takes for granted.
    private bool EmitInterpreted(in Instruction instruction)
    {
        ForgetWindows();
        InterpretedOperation* record = _cache.Record<InterpretedOperation>();
        InstructionTraits traits = _lowering.Lower(instruction, _codeMode, &record->Operation);
        bool ends = (traits & InstructionTraits.EndsBlock) != 0
            || instruction.Mnemonic is Mnemonic.Stac or Mnemonic.Clac or Mnemonic.Ldmxcsr or Mnemonic.Vldmxcsr
                or Mnemonic.Fxrstor or Mnemonic.Fxrstor64 or Mnemonic.Xrstor or Mnemonic.Xrstor64 or Mnemonic.Xrstors
                or Mnemonic.Xrstors64 or Mnemonic.Fldcw or Mnemonic.Fldenv or Mnemonic.Frstor or Mnemonic.Fninit
                or Mnemonic.Fnsave or Mnemonic.Fnstenv or Mnemonic.Fnclex;
        EmitCount(_uncounted);
        _uncounted--; // the interpreter counts this one
        EmitLinear(_offset);
        _code.MoveImmediate64(R10, (ulong)record);
        EmitExit(ExitReason.Interpret);
        record->Continuation = ends ? null : _code.Here;
        record->UsesFpu = UsesFpu(instruction.Code);
        _isFpuLoaded &= !record->UsesFpu;
        _isWideLoaded = false;
        return ends;
    }

    // Counts at the ends of a block and at jumps only. What leaves it before an instruction is done makes that right
    // where it leaves.
    private void EmitCount(int count)
    {
        _uncounted -= count;
        if (_countsInstructions && count != 0)
        {
            _code.Load(R9, State, StateOffset.InstructionCount);
            _code.Lea(R9, R9, count);
            _code.Store(State, StateOffset.InstructionCount, R9);
        }
    }

    // What follows does the instruction at work, or leaves it to others: then the engine counts what is not counted.
    private void EmitNoteUncounted()
    {
        if (_countsInstructions)
        {
            _code.StoreImmediate64(State, StateOffset.Uncounted, _uncounted);
        }
    }

    // R9 = linear address of an offset in this page.
    private void EmitLinear(int offset)
    {
        _code.Load(R9, State, StateOffset.CodeBase);
        if (offset != 0)
        {
            _code.Lea(R9, R9, offset);
        }
    }

    private void EmitExit(ExitReason reason)
    {
        _code.MoveImmediate32(Rcx, (uint)reason);
        _code.Jump(_set.Exit);
    }

    private sealed class EmitterWriter(BlockTranslator translator) : CodeWriter
    {
        public override void WriteByte(byte value) => translator._code.Byte(value);
    }
}
