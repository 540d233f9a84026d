using System.Diagnostics;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Decode;

/// <summary>Turns Iced's operands into the operand fields of an <see cref="Operation"/>.</summary>
internal static unsafe class OperandLowering
{
    /// <summary>Names the register that is always 0: an absent base or index.</summary>
    internal const byte ZeroSlot = 16 * 8;

    private const byte RipSlot = 17 * 8;

    /// <summary>Fills everything but Execute and Immediate's special uses.</summary>
    internal static void Lower(in Instruction instruction, uint codeMode, Operation* op)
    {
        *op = default;
        op->Length = (byte)instruction.Length;
        op->CodeNumber = (ushort)instruction.Code;
        op->Base = ZeroSlot;
        op->Index = ZeroSlot;
        op->Flags = (instruction.HasLockPrefix ? OperationFlags.Lock : 0)
            | (instruction.HasRepePrefix ? OperationFlags.Rep : 0)
            | (instruction.HasRepnePrefix ? OperationFlags.Repne : 0);

        bool hasDestination = false;
        int operands = instruction.OpCount;
        for (int i = 0; i < operands; i++)
        {
            OpKind kind = instruction.GetOpKind(i);
            switch (kind)
            {
                case OpKind.Register when instruction.GetOpRegister(i).IsGPR():
                    byte slot = RegisterSlot(instruction.GetOpRegister(i));
                    if (!hasDestination)
                    {
                        op->Destination = slot;
                        hasDestination = true;
                    }
                    else
                    {
                        op->Source = slot;
                    }

                    break;
                case OpKind.Memory:
                    LowerMemory(instruction, codeMode, op);
                    break;
                case OpKind.NearBranch16 or OpKind.NearBranch32 or OpKind.NearBranch64:
                    op->Immediate = instruction.NearBranchTarget - instruction.NextIP; // blocks are cached by page
                    break;
                case >= OpKind.Immediate8 and <= OpKind.Immediate32to64:
                    op->Immediate = instruction.GetImmediate(i);
                    break;
                default:
                    break; // vector, segment, control registers, string operands: the row's business
            }
        }
    }

    /// <summary>Byte offset in CpuState of a general register, AH..BH included.</summary>
    internal static byte RegisterSlot(Register register)
        => register is >= Register.AH and <= Register.BH
            ? (byte)(((register - Register.AH) * 8) + 1)
            : (byte)(register.GetFullRegister().GetNumber() * 8);

    /// <summary>By how many bits the index of the memory operand is shifted left: 0 to 3.</summary>
    internal static byte ScaleShift(in Instruction instruction)
        => instruction.MemoryIndexScale switch { 1 => 0, 2 => 1, 4 => 2, _ => 3 };

    /// <summary>Index into CpuState.Segments.</summary>
    internal static byte SegmentIndex(Register segment) => segment switch
    {
        Register.ES => SegmentRegister.Es,
        Register.CS => SegmentRegister.Cs,
        Register.SS => SegmentRegister.Ss,
        Register.DS => SegmentRegister.Ds,
        Register.FS => SegmentRegister.Fs,
        Register.GS => SegmentRegister.Gs,
        _ => throw new UnreachableException(),
    };

    /// <summary>Sets <see cref="Operation.AddressKind"/> and the segment; also for string operands.</summary>
    internal static void LowerSegment(Register segment, uint codeMode, Operation* op)
    {
        op->Segment = SegmentIndex(segment);
        if (codeMode != 2)
        {
            op->AddressKind = AddressKind.Legacy;
        }
        else
        {
            bool based = op->Segment is SegmentRegister.Fs or SegmentRegister.Gs;
            op->AddressKind = based || op->AddressBytes == 4 ? AddressKind.Segment64 : AddressKind.Flat64;
        }
    }

    private static void LowerMemory(in Instruction instruction, uint codeMode, Operation* op)
    {
        op->Flags |= OperationFlags.Memory;
        Register baseRegister = instruction.MemoryBase;
        Register index = instruction.MemoryIndex;
        op->Displacement = (long)instruction.MemoryDisplacement64;
        op->AddressBytes = AddressBytes(instruction);
        if (instruction.IsIPRelativeMemoryOperand)
        {
            // Iced gives the absolute target; relative to the next instruction it is valid wherever the page is mapped.
            op->Base = RipSlot;
            op->Displacement = (long)(instruction.MemoryDisplacement64 - instruction.NextIP);
        }
        else if (baseRegister != Register.None)
        {
            op->Base = RegisterSlot(baseRegister);
        }

        if (index != Register.None && !index.IsVectorRegister())
        {
            op->Index = RegisterSlot(index);
            op->ScaleShift = ScaleShift(instruction);
        }

        // 64-bit mode ignores overrides but FS and GS, also in the choice between #SS and #GP.
        Register segment = instruction.MemorySegment;
        if (codeMode == 2 && segment is not (Register.FS or Register.GS))
        {
            segment = baseRegister is Register.RSP or Register.RBP or Register.ESP or Register.EBP
                ? Register.SS
                : Register.DS;
        }

        LowerSegment(segment, codeMode, op);
    }

    private static byte AddressBytes(in Instruction instruction)
    {
        Register register = instruction.MemoryBase != Register.None ? instruction.MemoryBase : instruction.MemoryIndex;
        if (register.IsVectorRegister())
        {
            register = Register.None; // VSIB without a base: the mode and the prefix decide
        }

        return register switch
        {
            Register.None => (byte)instruction.MemoryDisplSize, // 2, 4 or 8: a full displacement
            Register.EIP => 4,
            Register.RIP => 8,
            _ => (byte)register.GetSize(),
        };
    }
}
