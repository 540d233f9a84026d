using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Interrupts;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>MOV to and from segment, control and debug registers. Spec: SDM volume 2, MOV.</summary>
internal static unsafe class SystemMoves
{
    /// <summary>Lowers a MOV with an operand that is no general register.</summary>
    internal static void Lower(LoweringContext context, in Instruction instruction, Operation* op)
    {
        Register first = instruction.Op0Kind == OpKind.Register ? instruction.Op0Register : Register.None;
        Register second = instruction.Op1Kind == OpKind.Register ? instruction.Op1Register : Register.None;
        bool isLoad = first.IsSegmentRegister() || first.IsCR() || first.IsDR();
        Register special = isLoad ? first : second;
        if (special.IsSegmentRegister())
        {
            op->Extra = OperandLowering.SegmentIndex(special);
            op->OperandBytes = isLoad || op->HasMemory ? (byte)2 : (byte)first.GetSize();
            op->Source = isLoad && !op->HasMemory ? OperandLowering.RegisterSlot(second) : op->Destination;
            op->Execute = !isLoad ? &StoreSegment : special == Register.CS ? null : &LoadSegment;
            return;
        }

        // The general register is the whole one: 32 bits outside 64-bit mode, else 64.
        op->Source = OperandLowering.RegisterSlot(isLoad ? second : first);
        op->OperandBytes = context.Is64Bit ? (byte)8 : (byte)4;
        op->Extra = (byte)special.GetNumber();
        op->Execute = special.IsCR() ? LowerControl(op->Extra, isLoad) : special.IsDR() ? LowerDebug(isLoad) : null;
    }

    private static delegate*<Vcpu, Operation*, Outcome> LowerControl(int number, bool isLoad)
        => number is not (0 or 2 or 3 or 4 or 8) ? null : isLoad ? &LoadControl : &StoreControl;

    private static delegate*<Vcpu, Operation*, Outcome> LowerDebug(bool isLoad) => isLoad ? &LoadDebug : &StoreDebug;

    private static Outcome StoreSegment(Vcpu vcpu, Operation* op)
    {
        ushort selector = vcpu.State->Segments[op->Extra].Selector;
        if (op->HasMemory)
        {
            return vcpu.Mmu.TryWrite(op, selector) ? Outcome.Next : Outcome.Fault;
        }

        if (op->OperandBytes == 2)
        {
            Operands.Set(vcpu.State, op->Source, selector);
        }
        else
        {
            Operands.Set(vcpu.State, op->Source, (uint)selector);
        }

        return Outcome.Next;
    }

    private static Outcome LoadSegment(Vcpu vcpu, Operation* op)
    {
        ushort selector;
        if (!op->HasMemory)
        {
            selector = Operands.Get<ushort>(vcpu.State, op->Source);
        }
        else if (!vcpu.Mmu.TryRead(op, out selector))
        {
            return Outcome.Fault;
        }

        if (!vcpu.Segments.TryLoad(op->Extra, selector))
        {
            return Outcome.Fault;
        }

        if (op->Extra == SegmentRegister.Ss)
        {
            vcpu.Events.BeginShadow(InterruptShadow.MovSs);
        }

        return Outcome.EndBlock;
    }

    private static Outcome StoreControl(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        if (state->Cpl != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        ulong value = op->Extra switch
        {
            0 => state->Cr0,
            2 => state->Cr2,
            3 => state->Cr3,
            4 => state->Cr4,
            _ => vcpu.Control.ReadCr8(),
        };
        Store(state, op, value);
        return Outcome.Next;
    }

    private static Outcome LoadControl(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        if (state->Cpl != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        ulong value = Load(state, op);
        bool done = true;
        switch (op->Extra)
        {
            case 0:
                done = vcpu.Control.TryWriteCr0(value);
                break;
            case 2:
                state->Cr2 = value;
                break;
            case 3:
                done = vcpu.Control.TryWriteCr3(value);
                break;
            case 4:
                done = vcpu.Control.TryWriteCr4(value);
                break;
            default:
                done = vcpu.Control.TryWriteCr8(value);
                break;
        }

        return done ? Outcome.EndBlock : Outcome.Fault;
    }

    // Spec: SDM volume 3, 17.2: DR4 and DR5 are DR6 and DR7 unless CR4.DE makes them undefined.
    private static bool TryDebugIndex(Vcpu vcpu, Operation* op, out int index)
    {
        index = op->Extra is 4 or 5 ? op->Extra + 2 : op->Extra;
        bool isUndefined = op->Extra > 7
            || (op->Extra != index && (vcpu.State->Cr4 & Cr4.DebuggingExtensions) != 0);
        if (isUndefined)
        {
            vcpu.Raise(ExceptionVector.InvalidOpcode);
            return false;
        }

        if (vcpu.State->Cpl != 0)
        {
            vcpu.Raise(ExceptionVector.GeneralProtection, 0);
            return false;
        }

        if ((vcpu.State->Dr[7] & DebugRegisters.GeneralDetect) != 0)
        {
            vcpu.Debug.ReportAccess();
            vcpu.Raise(ExceptionVector.Debug);
            return false;
        }

        return true;
    }

    private static Outcome StoreDebug(Vcpu vcpu, Operation* op)
    {
        if (!TryDebugIndex(vcpu, op, out int index))
        {
            return Outcome.Fault;
        }

        Store(vcpu.State, op, vcpu.State->Dr[index]);
        return Outcome.Next;
    }

    private static Outcome LoadDebug(Vcpu vcpu, Operation* op)
        => TryDebugIndex(vcpu, op, out int index) && vcpu.Debug.TryWrite(index, Load(vcpu.State, op))
            ? Outcome.EndBlock
            : Outcome.Fault;

    private static ulong Load(CpuState* state, Operation* op)
        => op->OperandBytes == 8 ? Operands.Get<ulong>(state, op->Source) : Operands.Get<uint>(state, op->Source);

    private static void Store(CpuState* state, Operation* op, ulong value)
    {
        if (op->OperandBytes == 8)
        {
            Operands.Set(state, op->Source, value);
        }
        else
        {
            Operands.Set(state, op->Source, (uint)value);
        }
    }
}
