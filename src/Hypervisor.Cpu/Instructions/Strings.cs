using System.Numerics;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;
using static Hypervisor.Cpu.Instructions.StringSteps;

namespace Hypervisor.Cpu.Instructions;

/// <summary>MOVS, STOS, LODS, SCAS, CMPS and their REP forms. Spec: SDM volume 1, 7.3.9; volume 2, "REP".</summary>
/// <remarks>
/// A REP form works on pieces that stay within one page at either end and looks for events between pieces, so it is
/// interruptible like on hardware: registers say how far it came, and <see cref="Outcome.Restart"/> runs it again.
/// </remarks>
internal static unsafe class Strings
{
    private const int Rcx = 1;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Movsb, InstructionTraits.None, &LowerMove<byte>);
        table.Define(Mnemonic.Movsw, InstructionTraits.None, &LowerMove<ushort>);
        table.Define(Mnemonic.Movsq, InstructionTraits.None, &LowerMove<ulong>);
        table.Define(Mnemonic.Stosb, InstructionTraits.None, &LowerStore<byte>);
        table.Define(Mnemonic.Stosw, InstructionTraits.None, &LowerStore<ushort>);
        table.Define(Mnemonic.Stosd, InstructionTraits.None, &LowerStore<uint>);
        table.Define(Mnemonic.Stosq, InstructionTraits.None, &LowerStore<ulong>);
        table.Define(Mnemonic.Lodsb, InstructionTraits.None, &LowerLoad<byte>);
        table.Define(Mnemonic.Lodsw, InstructionTraits.None, &LowerLoad<ushort>);
        table.Define(Mnemonic.Lodsd, InstructionTraits.None, &LowerLoad<uint>);
        table.Define(Mnemonic.Lodsq, InstructionTraits.None, &LowerLoad<ulong>);
        table.Define(Mnemonic.Scasb, InstructionTraits.None, &LowerScan<byte>);
        table.Define(Mnemonic.Scasw, InstructionTraits.None, &LowerScan<ushort>);
        table.Define(Mnemonic.Scasd, InstructionTraits.None, &LowerScan<uint>);
        table.Define(Mnemonic.Scasq, InstructionTraits.None, &LowerScan<ulong>);
        table.Define(Mnemonic.Cmpsb, InstructionTraits.None, &LowerCompare<byte>);
        table.Define(Mnemonic.Cmpsw, InstructionTraits.None, &LowerCompare<ushort>);
        table.Define(Mnemonic.Movsd, InstructionTraits.None, &LowerDword);
        table.Define(Mnemonic.Cmpsd, InstructionTraits.None, &LowerDword);
        table.Define(Mnemonic.Cmpsq, InstructionTraits.None, &LowerCompare<ulong>);
    }

    // The dword forms of MOVS and CMPS share their mnemonics with SSE instructions.
    private static void LowerDword(LoweringContext context, in Instruction instruction, Operation* op)
    {
        switch (instruction.Code)
        {
            case Code.Movsd_m32_m32:
                LowerMove<uint>(context, instruction, op);
                break;
            case Code.Cmpsd_m32_m32:
                LowerCompare<uint>(context, instruction, op);
                break;
            case Code.Cmpsd_xmm_xmmm64_imm8:
                HostInstructions.LowerFloat(context, instruction, op);
                break;
            default:
                HostMoves.LowerLow(context, instruction, op);
                break;
        }
    }

    /// <summary>The low 2, 4 or 8 bytes of a counter or index.</summary>
    internal static ulong Truncate(ulong value, int addressBytes)
        => addressBytes == 8 ? value : addressBytes == 4 ? (uint)value : (ushort)value;

    /// <summary>A counter minus one, as a write of its address size leaves the register.</summary>
    internal static ulong Decrement(ulong register, int addressBytes) => Add(register, -1, addressBytes);

    /// <summary>A register plus <paramref name="delta"/>, as a write of its address size leaves it.</summary>
    internal static ulong Add(ulong register, long delta, int addressBytes) => addressBytes switch
    {
        8 => register + (ulong)delta,
        4 => (uint)(register + (ulong)delta),
        _ => (register & ~0xFFFFul) | (ushort)(register + (ulong)delta),
    };

    /// <summary>Address size and segment of a string instruction's operands.</summary>
    internal static void LowerAddressing(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->AddressBytes = 8;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            op->AddressBytes = instruction.GetOpKind(i) switch
            {
                OpKind.MemorySegSI or OpKind.MemorySegDI or OpKind.MemoryESDI => 2,
                OpKind.MemorySegESI or OpKind.MemorySegEDI or OpKind.MemoryESEDI => 4,
                OpKind.MemorySegRSI or OpKind.MemorySegRDI or OpKind.MemoryESRDI => 8,
                _ => op->AddressBytes,
            };
        }

        // 64-bit mode ignores overrides but FS and GS.
        Register segment = instruction.MemorySegment;
        bool isIgnored = context.Is64Bit && segment is not (Register.FS or Register.GS);
        OperandLowering.LowerSegment(isIgnored ? Register.DS : segment, context.CodeMode, op);
    }

    private static bool IsRepeated(Operation* op) => (op->Flags & (OperationFlags.Rep | OperationFlags.Repne)) != 0;

    private static void LowerMove<T>(LoweringContext context, in Instruction instruction, Operation* op)
        where T : unmanaged
    {
        LowerAddressing(context, instruction, op);
        op->Execute = IsRepeated(op) ? &StringBlocks.RepeatMove<T> : &MoveOne<T>;
    }

    private static void LowerStore<T>(LoweringContext context, in Instruction instruction, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        LowerAddressing(context, instruction, op);
        op->Execute = IsRepeated(op) ? &StringBlocks.RepeatStore<T> : &StoreOne<T>;
    }

    private static void LowerLoad<T>(LoweringContext context, in Instruction instruction, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        LowerAddressing(context, instruction, op);
        op->Execute = IsRepeated(op) ? &Repeat<LoadStep<T>> : &LoadOne<T>;
    }

    private static void LowerScan<T>(LoweringContext context, in Instruction instruction, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        LowerAddressing(context, instruction, op);
        op->Execute = IsRepeated(op) ? &RepeatCompare<ScanStep<T>> : &ScanOne<T>;
    }

    private static void LowerCompare<T>(LoweringContext context, in Instruction instruction, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        LowerAddressing(context, instruction, op);
        op->Execute = IsRepeated(op) ? &RepeatCompare<CompareStep<T>> : &CompareOne<T>;
    }

    private static Outcome MoveOne<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged
        => MoveStep<T>.Do(vcpu, op) ? Outcome.Next : Outcome.Fault;

    private static Outcome StoreOne<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        => StoreStep<T>.Do(vcpu, op) ? Outcome.Next : Outcome.Fault;

    private static Outcome LoadOne<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        => LoadStep<T>.Do(vcpu, op) ? Outcome.Next : Outcome.Fault;

    private static Outcome ScanOne<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        => ScanStep<T>.Do(vcpu, op) ? Outcome.Next : Outcome.Fault;

    private static Outcome CompareOne<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        => CompareStep<T>.Do(vcpu, op) ? Outcome.Next : Outcome.Fault;

    /// <summary>Counts down; looks for events after each element.</summary>
    private static Outcome Repeat<TStep>(Vcpu vcpu, Operation* op)
        where TStep : struct, IStep
    {
        CpuState* state = vcpu.State;
        while (Truncate(state->Gpr[Rcx], op->AddressBytes) != 0)
        {
            if (!TStep.Do(vcpu, op))
            {
                return Outcome.Fault;
            }

            state->Gpr[Rcx] = Decrement(state->Gpr[Rcx], op->AddressBytes);
            if (state->Events != 0 && Truncate(state->Gpr[Rcx], op->AddressBytes) != 0)
            {
                return Outcome.Restart;
            }
        }

        return Finish(state, op);
    }

    private static Outcome RepeatCompare<TStep>(Vcpu vcpu, Operation* op)
        where TStep : struct, IStep
    {
        CpuState* state = vcpu.State;
        bool whileEqual = (op->Flags & OperationFlags.Repne) == 0;
        (ulong flags, ulong result, ulong carries, uint shift)
            = (state->Rflags, state->LazyResult, state->LazyCarries, state->LazyShift);
        while (Truncate(state->Gpr[Rcx], op->AddressBytes) != 0)
        {
            if (!TStep.Do(vcpu, op))
            {
                // Counters keep their progress, flags do not. Spec: SDM volume 2, REP.
                (state->Rflags, state->LazyResult) = (flags, result);
                (state->LazyCarries, state->LazyShift) = (carries, shift);
                return Outcome.Fault;
            }

            state->Gpr[Rcx] = Decrement(state->Gpr[Rcx], op->AddressBytes);
            if (ArithmeticFlags.Zero(state) != whileEqual)
            {
                break;
            }

            if (state->Events != 0 && Truncate(state->Gpr[Rcx], op->AddressBytes) != 0)
            {
                return Outcome.Restart;
            }
        }

        return Finish(state, op);
    }

    // A store into the instruction's own page turned the rest of this block stale; that is the marker's business.
    internal static Outcome Finish(CpuState* state, Operation* op)
    {
        if (op->AddressBytes == 4 && state->CodeMode == 2)
        {
            state->Gpr[Rcx] = (uint)state->Gpr[Rcx];
        }

        return Outcome.Next;
    }
}
