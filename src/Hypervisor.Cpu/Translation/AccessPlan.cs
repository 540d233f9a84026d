using System.Collections.Generic;
using Iced.Intel;

namespace Hypervisor.Cpu.Translation;

/// <summary>Which accesses of a block lie so near to each other that one check of the TLB serves them all.</summary>
/// <remarks>
/// Registers are followed as a symbol and a distance from it, through copies, additions of constants and the stack.
/// Accesses at the same symbol whose hull is small form a <see cref="AccessWindow"/>; what is at RIP is known to the
/// byte, so there a window is a page. A store may serve later loads, but not the other way round: a page that may be
/// stored to may be read. In flat code of 32 bits registers are followed modulo 2^32, and so are the accesses
/// computed. An index that was a byte hardly leaves the page of its base, see <see cref="IsNearBase"/>.
/// </remarks>
internal sealed class AccessPlan
{
    /// <summary>No window.</summary>
    internal const int None = -1;

    // A hull that crosses a page costs a detour, which happens once in 4096 / size times.
    private const int HullBytesMax = 256;
    private const int NearScaleMax = 4; // a table of 1 KiB or less: three in four lie on one page
    private const int LookBack = 12;
    private const int StackPointer = HostRegister.Rsp; // the guest's are numbered alike
    private const int FramePointer = HostRegister.Rbp;
    private const int PageShift = 12;
    private const long PageSymbols = 1L << 32; // symbols of pages at a distance from the code's

    private readonly List<AccessWindow> _windows = [];
    private readonly Member[] _operands = new Member[BlockTranslator.InstructionsMax + 1];
    private readonly Member[] _stack = new Member[BlockTranslator.InstructionsMax + 1];
    private readonly bool[] _isNearBase = new bool[BlockTranslator.InstructionsMax + 1];
    private readonly long[] _symbols = new long[HostRegister.Count];
    private readonly long[] _distances = new long[HostRegister.Count];
    private long _nextSymbol;
    private uint _bytes; // registers whose value is below 256
    private bool _isLegacy;
    private int _wordBytes;
    private Register _firstWord;

    /// <summary>The window of a number that <see cref="Operand"/> or <see cref="Stack"/> gave.</summary>
    internal AccessWindow this[int window] => _windows[window];

    /// <summary>How many windows there are.</summary>
    internal int Count => _windows.Count;

    /// <summary>Where the memory operand of an instruction belongs.</summary>
    internal Member Operand(int index) => _operands[index];

    /// <summary>Where the stack slot that an instruction pushes or pops belongs.</summary>
    internal Member Stack(int index) => _stack[index];

    /// <summary>
    /// Whether the memory operand of an instruction is most likely on the page of its base and displacement: it has an
    /// index that was a byte, as of a table.
    /// </summary>
    internal bool IsNearBase(int index) => _isNearBase[index];

    /// <summary>Starts over, with code of 64-bit mode or with flat code of 32 bits.</summary>
    internal void Clear(bool isLegacy)
    {
        _isLegacy = isLegacy;
        _wordBytes = isLegacy ? BlockTranslator.LegacyWordBytes : BlockTranslator.WordBytes;
        _firstWord = isLegacy ? Register.EAX : Register.RAX;
        _windows.Clear();
        System.Array.Fill(_operands, new Member(None, 0));
        System.Array.Fill(_stack, new Member(None, 0));
        for (int register = 0; register < HostRegister.Count; register++)
        {
            _symbols[register] = register;
            _distances[register] = 0;
        }

        System.Array.Clear(_isNearBase);
        _nextSymbol = HostRegister.Count;
        _bytes = 0;
    }

    /// <summary>Takes in the next instruction.</summary>
    internal void Add(int index, in Instruction instruction, InstructionInfo info)
    {
        switch (instruction.Code)
        {
            case Code.Push_r64 or Code.Push_rm64 or Code.Pushq_imm8 or Code.Pushq_imm32 or Code.Pushfq
                or Code.Call_rel32_64 or Code.Call_rm64
                or Code.Push_r32 or Code.Push_rm32 or Code.Pushd_imm8 or Code.Pushd_imm32 or Code.Pushfd
                or Code.Call_rel32_32 or Code.Call_rm32:
                AddOperand(index, instruction, isWrite: false);
                AddStack(index, StackPointer, -_wordBytes, isWrite: true);
                _distances[StackPointer] -= _wordBytes;
                return;
            case Code.Pop_r64 or Code.Pop_r32:
            case Code.Pop_rm64 or Code.Pop_rm32 when instruction.Op0Kind == OpKind.Register:
                AddStack(index, StackPointer, 0, isWrite: false);
                _distances[StackPointer] += _wordBytes;
                Forget(instruction.Op0Register);
                return;
            case Code.Retnq or Code.Retnq_imm16 or Code.Retnd or Code.Retnd_imm16:
                AddStack(index, StackPointer, 0, isWrite: false);
                return;
            case Code.Leaveq or Code.Leaved:
                AddStack(index, FramePointer, 0, isWrite: false);
                Follow(StackPointer, FramePointer, _wordBytes);
                Forget(Register.RBP);
                return;
        }

        for (int i = 0; i < instruction.OpCount; i++)
        {
            OpAccess access = info.GetOpAccess(i);
            if (instruction.GetOpKind(i) == OpKind.Memory && access is not (OpAccess.None or OpAccess.NoMemAccess))
            {
                bool isWrite = access is not (OpAccess.Read or OpAccess.CondRead);
                AddOperand(index, instruction, isWrite);
            }
        }

        if (TryFollow(instruction))
        {
            return;
        }

        foreach (UsedRegister used in info.GetUsedRegisters())
        {
            if (used.Access is not (OpAccess.Read or OpAccess.CondRead))
            {
                Forget(used.Register);
            }
        }

        if (GivesByte(instruction))
        {
            _bytes |= Bit(instruction.Op0Register);
        }
    }

    // In a register whose upper bits become zero.
    private static bool GivesByte(in Instruction instruction)
        => instruction.Code switch
        {
            Code.Movzx_r32_rm8 or Code.Movzx_r64_rm8 => true,
            Code.And_rm32_imm8 or Code.And_rm64_imm8 or Code.And_rm32_imm32 or Code.And_EAX_imm32
                => instruction.Op0Kind == OpKind.Register && instruction.GetImmediate(1) <= byte.MaxValue,
            Code.Shr_rm32_imm8 => instruction.Op0Kind == OpKind.Register && (instruction.Immediate8 & 31) >= 24,
            _ => false,
        };

    private static uint Bit(Register register) => 1u << (register.GetFullRegister() - Register.RAX);

    private bool IsWord(Register register)
        => register >= _firstWord && register < _firstWord + HostRegister.Count;

    // Copies and additions of constants.
    private bool TryFollow(in Instruction instruction)
    {
        if (instruction.OpCount == 0 || instruction.Op0Kind != OpKind.Register || !IsWord(instruction.Op0Register))
        {
            return false;
        }

        int target = instruction.Op0Register - _firstWord;
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Mov when instruction.Op1Kind == OpKind.Register && IsWord(instruction.Op1Register):
                Follow(target, instruction.Op1Register - _firstWord, 0);
                return true;
            case Mnemonic.Lea when IsWord(instruction.MemoryBase) && instruction.MemoryIndex == Register.None:
                Follow(target, instruction.MemoryBase - _firstWord, DisplacementOf(instruction));
                return true;
            case Mnemonic.Add when instruction.Op1Kind != OpKind.Register && instruction.Op1Kind != OpKind.Memory:
                Advance(target, (long)instruction.GetImmediate(1));
                return true;
            case Mnemonic.Sub when instruction.Op1Kind != OpKind.Register && instruction.Op1Kind != OpKind.Memory:
                Advance(target, -(long)instruction.GetImmediate(1));
                return true;
            case Mnemonic.Inc:
                Advance(target, 1);
                return true;
            case Mnemonic.Dec:
                Advance(target, -1);
                return true;
            default:
                return false;
        }
    }

    private void Advance(int target, long distance) => Follow(target, target, distance);

    private void Follow(int target, int source, long distance)
    {
        _bytes &= ~(1u << target);
        _symbols[target] = _symbols[source];
        _distances[target] = _distances[source] + distance;
    }

    private void Forget(Register register)
    {
        if (register.IsGPR())
        {
            int number = register.GetFullRegister() - Register.RAX;
            _symbols[number] = _nextSymbol++;
            _distances[number] = 0;
            _bytes &= ~Bit(register);
        }
    }

    private void AddStack(int index, int register, long displacement, bool isWrite)
        => _stack[index] = Join(
            _symbols[register], _distances[register] + displacement, _wordBytes, isWrite, HullBytesMax);

    private void AddOperand(int index, in Instruction instruction, bool isWrite)
    {
        if (instruction.MemoryIndex.IsGPR())
        {
            _isNearBase[index] = (_bytes & Bit(instruction.MemoryIndex)) != 0
                && instruction.MemoryIndexScale <= NearScaleMax;
        }

        int size = instruction.MemorySize.GetSize();
        if (size is 0 or > 64 || instruction.HasOpMask || instruction.MemoryIndex != Register.None
            || instruction.MemorySegment is Register.FS or Register.GS)
        {
            return;
        }

        if (instruction.IsIPRelativeMemoryOperand)
        {
            long offset = (long)instruction.MemoryDisplacement64;
            if (instruction.MemoryBase == Register.RIP && (offset + size - 1) >> PageShift == offset >> PageShift)
            {
                _operands[index] = Join(PageSymbols + (offset >> PageShift), offset, size, isWrite, long.MaxValue);
            }
        }
        else if (_isLegacy && instruction.MemoryBase == Register.None)
        {
            long offset = (uint)instruction.MemoryDisplacement64;
            if ((offset + size - 1) >> PageShift == offset >> PageShift)
            {
                _operands[index] = Join(PageSymbols + (offset >> PageShift), offset, size, isWrite, long.MaxValue);
            }
        }
        else if (IsWord(instruction.MemoryBase))
        {
            int register = instruction.MemoryBase - _firstWord;
            long offset = _distances[register] + DisplacementOf(instruction);
            _operands[index] = Join(_symbols[register], offset, size, isWrite, HullBytesMax);
        }
    }

    // As a signed number: what is near in front of a register is near.
    private long DisplacementOf(in Instruction instruction)
        => _isLegacy ? (int)instruction.MemoryDisplacement64 : (long)instruction.MemoryDisplacement64;

    private Member Join(long symbol, long offset, int size, bool isWrite, long hullBytesMax)
    {
        for (int i = _windows.Count - 1; i >= 0 && i >= _windows.Count - LookBack; i--)
        {
            AccessWindow window = _windows[i];
            long low = System.Math.Min(window.Low, offset);
            long high = System.Math.Max(window.High, offset + size);
            if (window.Symbol == symbol && (window.IsWrite || !isWrite) && high - low <= hullBytesMax)
            {
                _windows[i] = window with { Low = low, High = high, Members = window.Members + 1 };
                return new Member(i, offset);
            }
        }

        _windows.Add(new AccessWindow(symbol, offset, offset + size, isWrite, symbol >= PageSymbols / 2, Members: 1));
        return new Member(_windows.Count - 1, offset);
    }

    /// <summary>An access as part of a window.</summary>
    /// <param name="Window">Its number, or <see cref="None"/>.</param>
    /// <param name="Offset">Distance from the window's symbol.</param>
    internal readonly record struct Member(int Window, long Offset);
}

/// <summary>Accesses that one check serves.</summary>
/// <param name="Symbol">What they are all at a distance from.</param>
/// <param name="Low">The lowest distance.</param>
/// <param name="High">Behind the highest.</param>
/// <param name="IsWrite">Whether the check is for a store.</param>
/// <param name="IsPage">Whether the hull is known to lie on one page.</param>
/// <param name="Members">How many accesses.</param>
internal readonly record struct AccessWindow(
    long Symbol, long Low, long High, bool IsWrite, bool IsPage, int Members)
{
    /// <summary>Size of the hull in bytes.</summary>
    internal int HullBytes => (int)(High - Low);
}
