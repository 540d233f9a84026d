using System.Numerics;
using System.Runtime.CompilerServices;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>BT, BTS, BTR, BTC, BSF, BSR, SHLD, SHRD. Spec: SDM volume 2.</summary>
internal static unsafe class BitTests
{
    private const InstructionTraits Lockable = InstructionTraits.CopyToHost | InstructionTraits.Lockable;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Bt, InstructionTraits.CopyToHost, &LowerTest<Keep>);
        table.Define(Mnemonic.Bts, Lockable, &LowerTest<SetBit>);
        table.Define(Mnemonic.Btr, Lockable, &LowerTest<ResetBit>);
        table.Define(Mnemonic.Btc, Lockable, &LowerTest<FlipBit>);
        table.Define(Mnemonic.Bsf, InstructionTraits.CopyToHost, &LowerScan);
        table.Define(Mnemonic.Bsr, InstructionTraits.CopyToHost, &LowerScan);
        table.Define(Mnemonic.Shld, InstructionTraits.CopyToHost, &LowerDouble);
        table.Define(Mnemonic.Shrd, InstructionTraits.CopyToHost, &LowerDouble);
    }

    private interface IBitChange
    {
        /// <summary>Whether the operand is written.</summary>
        static abstract bool Writes { get; }

        /// <summary>The operand after the change of <paramref name="bit"/>.</summary>
        static abstract T Apply<T>(T value, T bit)
            where T : unmanaged, IBinaryInteger<T>;
    }

    private static void LowerTest<TChange>(LoweringContext context, in Instruction instruction, Operation* op)
        where TChange : struct, IBitChange
    {
        bool byRegister = instruction.Op1Kind == OpKind.Register;
        op->Extra = byRegister ? (byte)1 : (byte)0;
        op->Execute = Operands.SizeOf(instruction, 0) switch
        {
            2 => Select<TChange, ushort>(op, byRegister),
            4 => Select<TChange, uint>(op, byRegister),
            _ => Select<TChange, ulong>(op, byRegister),
        };
    }

    private static delegate*<Vcpu, Operation*, Outcome> Select<TChange, T>(Operation* op, bool byRegister)
        where TChange : struct, IBitChange
        where T : unmanaged, IBinaryInteger<T>
        => op->HasMemory
            ? byRegister ? &InBitString<TChange, T> : &InMemory<TChange, T>
            : &InRegister<TChange, T>;

    // Only CF changes; the others are documented as unaffected (ZF) or undefined, and CPUs leave them all.
    private static void SetCarry(CpuState* state, bool carry)
    {
        ulong flags = ArithmeticFlags.Materialize(state) & ~Rflags.Carry;
        state->Rflags = flags | (carry ? Rflags.Carry : 0);
    }

    private static Outcome InRegister<TChange, T>(Vcpu vcpu, Operation* op)
        where TChange : struct, IBitChange
        where T : unmanaged, IBinaryInteger<T>
    {
        CpuState* state = vcpu.State;
        ulong index = op->Extra != 0 ? Operands.Get<ulong>(state, op->Source) : op->Immediate;
        T bit = T.One << (int)(index & (ulong)((sizeof(T) * 8) - 1));
        T value = Operands.Get<T>(state, op->Destination);
        if (TChange.Writes)
        {
            Operands.Set(state, op->Destination, TChange.Apply(value, bit));
        }

        SetCarry(state, (value & bit) != T.Zero);
        return Outcome.Next;
    }

    private static Outcome InMemory<TChange, T>(Vcpu vcpu, Operation* op)
        where TChange : struct, IBitChange
        where T : unmanaged, IBinaryInteger<T>
    {
        const MemoryAccess read = MemoryAccess.Read;
        MemoryAccess access = TChange.Writes ? MemoryAccess.Write : read;
        return vcpu.Mmu.TryAddress(op, sizeof(T), access, out ulong linear)
            ? Change<TChange, T>(vcpu, op, linear, op->Immediate)
            : Outcome.Fault;
    }

    // The bit index is a signed offset from the operand's address. Spec: SDM volume 1, 3.7.3 and volume 2, "BT".
    private static Outcome InBitString<TChange, T>(Vcpu vcpu, Operation* op)
        where TChange : struct, IBitChange
        where T : unmanaged, IBinaryInteger<T>
    {
        CpuState* state = vcpu.State;
        ulong raw = Operands.Get<ulong>(state, op->Destination);
        long index = sizeof(T) switch { 2 => (short)raw, 4 => (int)raw, _ => (long)raw };
        int shift = sizeof(T) == 2 ? 4 : sizeof(T) == 4 ? 5 : 6;
        long displacement = op->Displacement;
        op->Displacement += (index >> shift) * sizeof(T);
        MemoryAccess access = TChange.Writes ? MemoryAccess.Write : MemoryAccess.Read;
        bool isInside = vcpu.Mmu.TryAddress(op, sizeof(T), access, out ulong linear);
        op->Displacement = displacement;
        return isInside ? Change<TChange, T>(vcpu, op, linear, (ulong)index) : Outcome.Fault;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Outcome Change<TChange, T>(Vcpu vcpu, Operation* op, ulong linear, ulong index)
        where TChange : struct, IBitChange
        where T : unmanaged, IBinaryInteger<T>
    {
        T bit = T.One << (int)(index & (ulong)((sizeof(T) * 8) - 1));
        if (!TChange.Writes)
        {
            if (!vcpu.Mmu.TryReadLinear(linear, op->Segment, out T tested))
            {
                return Outcome.Fault;
            }

            SetCarry(vcpu.State, (tested & bit) != T.Zero);
            return Outcome.Next;
        }

        T* value = vcpu.Mmu.BeginUpdateLinear<T>(linear, op->Segment);
        if (value == null)
        {
            return Outcome.Fault;
        }

        T seen = *value;
        if ((op->Flags & OperationFlags.Lock) == 0)
        {
            *value = TChange.Apply(seen, bit);
        }
        else
        {
            T found;
            while ((found = BinaryForms.CompareExchange(value, TChange.Apply(seen, bit), seen)) != seen)
            {
                seen = found;
            }
        }

        vcpu.Mmu.EndWrite(value);
        SetCarry(vcpu.State, (seen & bit) != T.Zero);
        return Outcome.Next;
    }

    private static void LowerScan(LoweringContext context, in Instruction instruction, Operation* op)
    {
        bool forward = instruction.Mnemonic == Mnemonic.Bsf;
        op->Execute = Operands.SizeOf(instruction, 0) switch
        {
            2 => forward ? &ScanForward<ushort> : &ScanReverse<ushort>,
            4 => forward ? &ScanForward<uint> : &ScanReverse<uint>,
            _ => forward ? &ScanForward<ulong> : &ScanReverse<ulong>,
        };
    }

    private static Outcome ScanForward<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        => Scan<T>(vcpu, op, forward: true);

    private static Outcome ScanReverse<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        => Scan<T>(vcpu, op, forward: false);

    // A zero source leaves the destination alone, on Intel's and AMD's CPUs alike; only ZF is defined.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Outcome Scan<T>(Vcpu vcpu, Operation* op, bool forward)
        where T : unmanaged, IBinaryInteger<T>
    {
        CpuState* state = vcpu.State;
        T value;
        if (op->HasMemory)
        {
            if (!vcpu.Mmu.TryRead(op, out value))
            {
                return Outcome.Fault;
            }
        }
        else
        {
            value = Operands.Get<T>(state, op->Source);
        }

        ulong wide = ulong.CreateTruncating(value);
        ArithmeticFlags.SetLogic(state, value);
        if (wide != 0)
        {
            int index = forward ? BitOperations.TrailingZeroCount(wide) : BitOperations.Log2(wide);
            Operands.Set(state, op->Destination, T.CreateTruncating(index));
        }

        return Outcome.Next;
    }

    private static void LowerDouble(LoweringContext context, in Instruction instruction, Operation* op)
    {
        // Extra: bit 0 = count in CL; bit 1 = to the right. Immediate: the other count.
        bool left = instruction.Mnemonic == Mnemonic.Shld;
        bool byRegister = instruction.Op2Kind == OpKind.Register;
        if (byRegister)
        {
            // CL came third and overwrote Source; put the second operand back.
            op->Source = OperandLowering.RegisterSlot(instruction.Op1Register);
            op->Destination = instruction.Op0Kind == OpKind.Register
                ? OperandLowering.RegisterSlot(instruction.Op0Register)
                : op->Source;
        }

        if (op->HasMemory)
        {
            op->Source = OperandLowering.RegisterSlot(instruction.Op1Register);
        }

        op->Extra = (byte)((byRegister ? 1 : 0) | (left ? 0 : 2));
        op->Execute = Operands.BySize(
            Operands.SizeOf(instruction, 0), null, &ShiftDouble<ushort>, &ShiftDouble<uint>, &ShiftDouble<ulong>);
    }

    private static Outcome ShiftDouble<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        CpuState* state = vcpu.State;
        int count = (int)((op->Extra & 1) != 0 ? state->Gpr[1] : op->Immediate) & (sizeof(T) == 8 ? 0x3F : 0x1F);
        T filler = Operands.Get<T>(state, op->Source);
        if (!op->HasMemory)
        {
            T value = Operands.Get<T>(state, op->Destination);
            Operands.Set(state, op->Destination, Combine(state, value, filler, count, (op->Extra & 2) != 0));
            return Outcome.Next;
        }

        T* target = vcpu.Mmu.BeginUpdate<T>(op);
        if (target == null)
        {
            return Outcome.Fault;
        }

        *target = Combine(state, *target, filler, count, (op->Extra & 2) != 0);
        vcpu.Mmu.EndWrite(target);
        return Outcome.Next;
    }

    // A 16-bit shift by more than 16 is undefined; Intel's CPUs shift through value:filler:value.
    private static T Combine<T>(CpuState* state, T value, T filler, int count, bool toRight)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (count == 0)
        {
            return value;
        }

        int bits = sizeof(T) * 8;
        bool isBeyond = count > bits;
        T first = isBeyond ? filler : value;
        T second = isBeyond ? value : filler;
        int shift = isBeyond ? count - bits : count;
        T result;
        bool carry;
        if (toRight)
        {
            carry = !T.IsZero((first >>> (shift - 1)) & T.One);
            result = shift == bits ? second : (first >>> shift) | (second << (bits - shift));
        }
        else
        {
            carry = !T.IsZero((first >>> (bits - shift)) & T.One);
            result = shift == bits ? second : (first << shift) | (second >>> (bits - shift));
        }

        bool overflow = !T.IsZero((result ^ first) >>> (bits - 1));
        ArithmeticFlags.Set(state, result, carry, overflow, false);
        return result;
    }

    private readonly struct Keep : IBitChange
    {
        public static bool Writes => false;

        public static T Apply<T>(T value, T bit)
            where T : unmanaged, IBinaryInteger<T>
            => value;
    }

    private readonly struct SetBit : IBitChange
    {
        public static bool Writes => true;

        public static T Apply<T>(T value, T bit)
            where T : unmanaged, IBinaryInteger<T>
            => value | bit;
    }

    private readonly struct ResetBit : IBitChange
    {
        public static bool Writes => true;

        public static T Apply<T>(T value, T bit)
            where T : unmanaged, IBinaryInteger<T>
            => value & ~bit;
    }

    private readonly struct FlipBit : IBitChange
    {
        public static bool Writes => true;

        public static T Apply<T>(T value, T bit)
            where T : unmanaged, IBinaryInteger<T>
            => value ^ bit;
    }
}
