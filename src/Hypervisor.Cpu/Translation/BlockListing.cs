using System.Collections.Generic;
using System.Globalization;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Translation;

/// <summary>A translated block as text: each guest instruction, and the host instructions that do it.</summary>
/// <remarks>Addresses are offsets in the page and in the block, so that the same code gives the same text.</remarks>
internal sealed unsafe class BlockListing : ISymbolResolver
{
    private readonly Dictionary<ulong, string> _code = [];
    private readonly Dictionary<long, string> _state = [];
    private readonly NasmFormatter _formatter;
    private readonly StringOutput _output = new();
    private ulong _start;
    private ulong _end;
    private ulong _coldStart;
    private ulong _coldEnd;

    internal BlockListing(IEnumerable<EntryStubs> stubs)
    {
        _formatter = new NasmFormatter(this);
        _formatter.Options.HexPrefix = "0x";
        _formatter.Options.HexSuffix = "";
        int mode = 0;
        foreach (EntryStubs set in stubs)
        {
            set.AddNames(_code);
            AddTables(mode);
            AddJumps(mode);
            AddJumps(mode + Variant.LegacySets);
            mode++;
        }

        AddState();
    }

    /// <summary>Lists a block that was just translated.</summary>
    /// <param name="page">Host address of the page that the guest's code lies on.</param>
    /// <param name="codeMode">0 in 16-bit, 1 in 32-bit, 2 in 64-bit code.</param>
    /// <param name="instructions">Offset in the page and host code of each instruction.</param>
    /// <param name="start">First byte of the host code.</param>
    /// <param name="end">Behind its last byte.</param>
    /// <param name="coldStart">First byte of what lies elsewhere.</param>
    /// <param name="coldEnd">Behind its last byte.</param>
    internal string Write(
        byte* page, uint codeMode, IReadOnlyList<(int Offset, nint Host)> instructions, byte* start, byte* end,
        byte* coldStart, byte* coldEnd)
    {
        (_start, _end) = ((ulong)start, (ulong)end);
        (_coldStart, _coldEnd) = ((ulong)coldStart, (ulong)coldEnd);
        var text = new System.Text.StringBuilder();
        text.AppendLine("entries");
        AppendHost(text, start, (byte*)instructions[0].Host);
        for (int i = 0; i < instructions.Count; i++)
        {
            AppendGuest(text, page, codeMode, instructions[i].Offset);
            byte* next = i + 1 < instructions.Count ? (byte*)instructions[i + 1].Host : end;
            AppendHost(text, (byte*)instructions[i].Host, next);
        }

        text.AppendLine("elsewhere");
        AppendHost(text, coldStart, coldEnd);

        return text.ToString();
    }

    /// <inheritdoc/>
    public bool TryGetSymbol(
        in Instruction instruction, int operand, int instructionOperand, ulong address, int addressSize,
        out SymbolResult symbol)
    {
        string? name;
        if (instruction.MemoryBase == Register.RBP)
        {
            _ = _state.TryGetValue((long)address, out name);
        }
        else if (address >= _start && address <= _end)
        {
            name = string.Create(CultureInfo.InvariantCulture, $"+{address - _start:x}");
        }
        else if (address >= _coldStart && address <= _coldEnd)
        {
            name = string.Create(CultureInfo.InvariantCulture, $"elsewhere+{address - _coldStart:x}");
        }
        else
        {
            _ = _code.TryGetValue(address, out name);
        }

        symbol = name is null ? default : new SymbolResult(address, name);
        return name is not null;
    }

    private void AppendGuest(System.Text.StringBuilder text, byte* page, uint codeMode, int offset)
    {
        var reader = new PointerReader();
        reader.Set(page + offset, 15);
        var decoder = Decoder.Create(16 << (int)codeMode, reader, (ulong)offset);
        text.AppendLine(CultureInfo.InvariantCulture, $"{offset:x3}  {Format(decoder.Decode())}");
    }

    private void AppendHost(System.Text.StringBuilder text, byte* start, byte* end)
    {
        var reader = new PointerReader();
        reader.Set(start, (int)(end - start));
        var decoder = Decoder.Create(64, reader, (ulong)start);
        while (decoder.IP < (ulong)end)
        {
            Instruction instruction = decoder.Decode();
            string offset = string.Create(CultureInfo.InvariantCulture, $"{instruction.IP - _start:x3}");
            string line = instruction.Code == Code.Mov_r64_imm64
                ? $"mov {instruction.Op0Register.ToString().ToLowerInvariant()}, <address>"
                : Format(instruction);
            text.AppendLine(CultureInfo.InvariantCulture, $"    {offset}  {line}");
        }
    }

    private string Format(in Instruction instruction)
    {
        _formatter.Format(instruction, _output);
        return _output.ToStringAndReset();
    }

    private void AddTables(int mode)
    {
        _state[StateOffset.Tlb(mode, TlbEntry.ReadAt)] = $"Tlb{mode}.Read";
        _state[StateOffset.Tlb(mode, TlbEntry.WriteAt)] = $"Tlb{mode}.Write";
        _state[StateOffset.Tlb(mode, TlbEntry.AddendAt)] = $"Tlb{mode}.Addend";
        _state[StateOffset.Tlb(mode, TlbEntry.ExecuteAt)] = $"Tlb{mode}.Execute";
    }

    private void AddJumps(int mode)
    {
        _state[StateOffset.Returns(mode)] = $"Returns{mode}.Tag";
        _state[StateOffset.Returns(mode) + ReturnCache.CodeAt] = $"Returns{mode}.Code";
        _state[StateOffset.JumpEpoch(mode)] = $"JumpEpoch{mode}";
        _state[StateOffset.Jumps(mode)] = $"Jumps{mode}.Tag";
        _state[StateOffset.Jumps(mode) + JumpCache.CodeAt] = $"Jumps{mode}.Code";
    }

    private void AddState()
    {
        for (int register = 8; register < 16; register++)
        {
            _state[StateOffset.Gpr(register)] = $"R{register}";
        }

        for (int slot = 0; slot < StateOffset.AddendSlots; slot++)
        {
            _state[StateOffset.Addend(slot)] = $"Addend{slot}";
        }

        for (int segment = 0; segment < LegacyState.SegmentCount; segment++)
        {
            _state[StateOffset.SegmentBase(segment)] = $"Base{segment}";
            _state[StateOffset.Selector(segment)] = $"Selector{segment}";
            _state[StateOffset.Limit(segment, isWrite: false)] = $"ReadLimit{segment}";
            _state[StateOffset.Limit(segment, isWrite: true)] = $"WriteLimit{segment}";
        }

        _state[StateOffset.CodeKey] = "CodeKey";
        _state[StateOffset.MinusCodeBase] = "MinusCodeBase";
        _state[StateOffset.SavedPointer] = "SavedPointer";
        _state[StateOffset.SignBit] = "SignBit";
        _state[StateOffset.HighHalf] = "HighHalf";
        _state[StateOffset.Rip] = "Rip";
        _state[StateOffset.Rflags] = "Rflags";
        _state[StateOffset.Events] = "Events";
        _state[StateOffset.CodeBase] = "CodeBase";
        _state[StateOffset.PageBits] = "PageBits";
        _state[StateOffset.SavedRax] = "SavedRax";
        _state[StateOffset.SavedTarget] = "SavedTarget";
        _state[StateOffset.SavedCode] = "SavedCode";
        _state[StateOffset.TlbSlotBits] = "TlbSlotBits";
        _state[StateOffset.JumpSlotBits] = "JumpSlotBits";
        _state[StateOffset.DirectionBit] = "DirectionBit";
        _state[StateOffset.ReturnSlotBits] = "ReturnSlotBits";
        _state[StateOffset.Aligned16Bits] = "Aligned16Bits";
        _state[StateOffset.Aligned32Bits] = "Aligned32Bits";
        _state[StateOffset.MayHaveInterrupt] = "MayHaveInterrupt";
        _state[StateOffset.InstructionCount] = "InstructionCount";
        _state[StateOffset.Uncounted] = "Uncounted";
        _state[StateOffset.IsFpuParked] = "IsFpuParked";
    }
}
