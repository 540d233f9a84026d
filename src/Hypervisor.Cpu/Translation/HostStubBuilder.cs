using System;
using Hypervisor.Core;
using Iced.Intel;

namespace Hypervisor.Cpu.Translation;

/// <summary>Generates the stub of one instruction. Cold: once per distinct encoding.</summary>
/// <remarks>
/// Guest registers are loaded into the host registers of the same number, so the encoding stays; except RSP, which is
/// renamed, and the memory operand, which becomes [pointer]. The state and memory pointers live in registers that the
/// instruction does not use. Nothing in a stub can fault: memory was translated and checked before, floating-point
/// exceptions are masked (MXCSR) or deferred to an instruction that does not come (x87).
/// </remarks>
internal sealed unsafe partial class HostStubBuilder
{
    private const int StubBytesMax = 1024;
    private const int DefaultMxcsr = 0x1F80;
    private const uint ArithmeticMask = 0x8D5; // OF SF ZF AF PF CF

    // Where pointers and temporaries may live, cheapest first.
    private static readonly int[] s_candidates =
    [
        HostRegister.R11, HostRegister.R10, HostRegister.R9, HostRegister.R8, HostRegister.Rcx, HostRegister.Rdx,
        HostRegister.Rax, HostRegister.Rsi, HostRegister.Rdi, HostRegister.Rbx, HostRegister.Rbp, HostRegister.R12,
    ];

    private readonly byte[] _buffer = GC.AllocateArray<byte>(StubBytesMax, pinned: true);
    private readonly Emitter _emitter = new();
    private readonly byte[] _encoding = new byte[16];
    private readonly InstructionInfoFactory _information = new();
    private readonly ByteWriter _writer;
    private readonly Encoder _encoder;

    // What Prepare found out.
    private int _encodingBytes;
    private uint _generalUsed;
    private uint _generalWritten;
    private VectorUse _vectors;
    private int _state;
    private int _memory;
    private int _temporary;
    private int _stackPointerAlias;

    internal HostStubBuilder()
    {
        _writer = new ByteWriter(_encoding);
        _encoder = Encoder.Create(64, _writer);
    }

    /// <summary>The instruction as the stub will contain it: equal bytes mean equal stubs.</summary>
    internal ReadOnlySpan<byte> Encoding => _encoding.AsSpan(0, _encodingBytes);

    /// <summary>The register that stands for RSP in <see cref="Encoding"/>; -1: RSP is not used.</summary>
    internal int StackPointerAlias => _stackPointerAlias;

    /// <summary>Chooses registers for <paramref name="original"/> and encodes it with them.</summary>
    internal void Prepare(in Instruction original)
    {
        Instruction instruction = original;
        bool hasMemory = DetachMemory(ref instruction);
        FindRegisters(instruction);
        ChooseRegisters(needsLow: UsesHighByte(instruction));
        if (_stackPointerAlias >= 0)
        {
            Rename(ref instruction, HostRegister.Rsp, _stackPointerAlias);
        }

        if (hasMemory)
        {
            instruction.MemoryBase = Register.RAX + _memory;
            instruction.MemoryDisplSize = 0;
        }

        _writer.Count = 0;
        Check.That(_encoder.TryEncode(instruction, 0, out _, out _));
        _encodingBytes = _writer.Count;
    }

    /// <summary>Generates the stub of what was prepared. The bytes are valid until the next call.</summary>
    internal ReadOnlySpan<byte> Build(StubParts parts)
    {
        Emitter emitter = _emitter;
        fixed (byte* buffer = _buffer)
        {
            emitter.Begin(buffer, buffer, StubBytesMax); // position-independent: it is copied to where it runs
        }

        Enter(emitter, parts);
        emitter.Bytes(Encoding);
        Leave(emitter, parts);
        return emitter.Code;
    }

    private void Enter(Emitter emitter, StubParts parts)
    {
        for (int register = 0; register < HostRegister.Count; register++)
        {
            if (IsIn(OccupiedRegisters, register) && HostRegister.IsCalleeSaved(register))
            {
                emitter.Push(register);
            }
        }

        if (parts.HasFlag(StubParts.Flags))
        {
            emitter.Push(HostRegister.Rdx);
            emitter.PopFlags();
        }

        MoveArguments(emitter);
        if (parts.HasFlag(StubParts.Fpu))
        {
            // FXRSTOR faults on reserved MXCSR bits, so the image's own field never gets to it.
            emitter.StoreImmediate32(_state, StateOffset.FpuMxcsr, DefaultMxcsr);
            emitter.Fxrstor64(_state, StateOffset.Fpu);
        }

        if (parts.HasFlag(StubParts.Mxcsr))
        {
            emitter.LoadMxcsr(_state, StateOffset.Mxcsr);
        }

        _vectors.Load(emitter, _state);
        for (int register = 0; register < 16; register++)
        {
            if (IsIn(_generalUsed, register))
            {
                emitter.Load(HostOf(register), _state, StateOffset.Gpr(register));
            }
        }
    }

    private void Leave(Emitter emitter, StubParts parts)
    {
        if (parts.HasFlag(StubParts.Flags))
        {
            emitter.PushFlags();
            emitter.Pop(_temporary);
            emitter.And32(_temporary, ArithmeticMask);
            emitter.AndMemory64(_state, StateOffset.Rflags, unchecked((int)~ArithmeticMask));
            emitter.OrMemory64(_state, StateOffset.Rflags, _temporary);
            emitter.StoreImmediate32(_state, StateOffset.LazyShift, State.ArithmeticFlags.Explicit);
        }

        for (int register = 0; register < 16; register++)
        {
            if (IsIn(_generalWritten, register))
            {
                emitter.Store(_state, StateOffset.Gpr(register), HostOf(register));
            }
        }

        StoreVectors(emitter);
        if (parts.HasFlag(StubParts.Mxcsr))
        {
            emitter.StoreMxcsr(_state, StateOffset.Mxcsr);
            emitter.StoreImmediate32(_state, StateOffset.StubScratch, DefaultMxcsr);
            emitter.LoadMxcsr(_state, StateOffset.StubScratch);
        }

        if (parts.HasFlag(StubParts.Fpu))
        {
            emitter.Fxsave64(_state, StateOffset.Fpu);
            emitter.InitializeFpu();
        }

        if (_vectors.NeedsZeroUpper)
        {
            emitter.ZeroUpper();
        }

        for (int register = HostRegister.Count - 1; register >= 0; register--)
        {
            if (IsIn(OccupiedRegisters, register) && HostRegister.IsCalleeSaved(register))
            {
                emitter.Pop(register);
            }
        }

        emitter.Return();
    }

    // The choice of registers keeps each argument in place or moves it to a register that holds no other argument.
    private void MoveArguments(Emitter emitter)
    {
        if (_state != HostRegister.Rdi)
        {
            emitter.Move(_state, HostRegister.Rdi);
        }

        if (_memory != HostRegister.Rsi)
        {
            emitter.Move(_memory, HostRegister.Rsi);
        }
    }

    private static bool DetachMemory(ref Instruction instruction)
    {
        instruction.SegmentPrefix = Register.None;
        instruction.HasRepPrefix = false;
        bool hasMemory = false;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            hasMemory |= instruction.GetOpKind(i) == OpKind.Memory;
        }

        if (hasMemory)
        {
            instruction.MemoryBase = Register.None;
            instruction.MemoryIndex = Register.None;
            instruction.MemoryIndexScale = 1;
            instruction.MemoryDisplacement64 = 0;
            instruction.MemoryDisplSize = 4;
        }

        return hasMemory;
    }

    private void FindRegisters(in Instruction instruction)
    {
        (_generalUsed, _generalWritten) = (0, 0);
        _vectors = new VectorUse(instruction.Code);
        foreach (UsedRegister used in _information.GetInfo(instruction).GetUsedRegisters())
        {
            _vectors.Add(used);
            if (used.Register.IsGPR())
            {
                uint bit = 1u << used.Register.GetFullRegister().GetNumber();
                _generalUsed |= bit;
                _generalWritten |= VectorUse.IsWritten(used.Access) ? bit : 0;
            }
        }
    }

    // AH to BH exist only without a REX prefix, so no register from R8 up may be beside them.
    private static bool UsesHighByte(in Instruction instruction)
    {
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) == OpKind.Register
                && instruction.GetOpRegister(i) is >= Register.AH and <= Register.BH)
            {
                return true;
            }
        }

        return false;
    }

    private void ChooseRegisters(bool needsLow)
    {
        uint taken = _generalUsed | (1u << HostRegister.Rsp);
        _state = IsIn(taken, HostRegister.Rdi) ? Take(taken | (1u << HostRegister.Rsi)) : HostRegister.Rdi;
        taken |= 1u << _state;
        _memory = IsIn(taken, HostRegister.Rsi) ? Take(taken | (1u << HostRegister.Rdi)) : HostRegister.Rsi;
        taken |= 1u << _memory;
        _temporary = Take(taken);
        taken |= 1u << _temporary;
        _stackPointerAlias = IsIn(_generalUsed, HostRegister.Rsp) ? Take(taken | (needsLow ? 0xFF00u : 0)) : -1;
    }

    private static int Take(uint taken)
    {
        foreach (int register in s_candidates)
        {
            if (!IsIn(taken, register))
            {
                return register;
            }
        }

        Check.That(false); // no instruction uses so many
        return -1;
    }

    private uint OccupiedRegisters
        => (_generalUsed & ~(1u << HostRegister.Rsp)) | (1u << _state) | (1u << _memory) | (1u << _temporary)
            | (_stackPointerAlias >= 0 ? 1u << _stackPointerAlias : 0);

    private int HostOf(int guest) => guest == HostRegister.Rsp ? _stackPointerAlias : guest;

    private static void Rename(ref Instruction instruction, int from, int to)
    {
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) != OpKind.Register)
            {
                continue;
            }

            Register register = instruction.GetOpRegister(i);
            if (register.IsGPR() && register.GetFullRegister() == Register.RAX + from)
            {
                instruction.SetOpRegister(i, register.GetSize() switch
                {
                    1 => Register.R8L + (to - 8),
                    2 => Register.AX + to,
                    4 => Register.EAX + to,
                    _ => Register.RAX + to,
                });
            }
        }
    }

    private static bool IsIn(uint set, int register) => (set & (1u << register)) != 0;

    private sealed class ByteWriter(byte[] target) : CodeWriter
    {
        internal int Count { get; set; }

        public override void WriteByte(byte value) => target[Count++] = value;
    }
}
