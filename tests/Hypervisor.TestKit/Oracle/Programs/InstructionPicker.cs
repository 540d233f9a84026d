using System;
using System.Collections.Generic;
using System.IO;
using Iced.Intel;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>Picks random instructions that leave the reserved registers and the rest of memory alone.</summary>
internal sealed class InstructionPicker(
    ProgramMode mode, ProgramRegisters registers, OperandFiller filler, Random random)
{
    private readonly InstructionInfoFactory _facts = new();
    private readonly Encoder _encoder = Encoder.Create(mode.Bits, new StreamCodeWriter(Stream.Null));

    /// <summary>One of <paramref name="codes"/> that needs none of the flags in <paramref name="undefined"/>.</summary>
    internal Instruction Pick(List<OpCodeInfo> codes, RflagsBits undefined)
    {
        while (true)
        {
            OpCodeInfo info = codes[random.Next(codes.Count)];
            var instruction = new Instruction { Code = info.Code };
            if (info.Encoding == EncodingKind.EVEX)
            {
                filler.FillEvex(ref instruction, info);
            }

            for (int i = 0; i < info.OpCount; i++)
            {
                filler.Fill(ref instruction, info.GetOpKind(i), i);
            }

            if (info.CanUseLockPrefix && instruction.Op0Kind == OpKind.Memory && random.Next(6) == 0)
            {
                instruction.HasLockPrefix = true;
            }

            if ((instruction.RflagsRead & undefined) == 0 && IsAllowed(instruction)
                && _encoder.TryEncode(instruction, 0, out _, out _))
            {
                return instruction;
            }
        }
    }

    private bool IsAllowed(in Instruction instruction)
    {
        bool hasMemory = false;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            hasMemory |= instruction.GetOpKind(i) == OpKind.Memory;
        }

        InstructionInfo facts = _facts.GetInfo(instruction);
        int memoryCount = 0;
        foreach (UsedMemory _ in facts.GetUsedMemory())
        {
            memoryCount++;
        }

        if (memoryCount > (hasMemory ? 1 : 0) || HasFarBit(instruction, hasMemory) || HasUndefinedResult(instruction))
        {
            return false;
        }

        foreach (UsedRegister used in facts.GetUsedRegisters())
        {
            bool isWritten = used.Access is OpAccess.Write or OpAccess.CondWrite or OpAccess.ReadWrite
                or OpAccess.ReadCondWrite;
            if (isWritten && used.Register.IsGPR() && !registers.IsFree(used.Register.GetFullRegister().GetNumber()))
            {
                return false;
            }
        }

        return true;
    }

    // A bit offset in a register reaches far beyond the operand.
    private static bool HasFarBit(in Instruction instruction, bool hasMemory)
        => hasMemory && instruction.Op1Kind == OpKind.Register
            && instruction.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc;

    // A 16-bit double shift by more than 16.
    private static bool HasUndefinedResult(in Instruction instruction)
        => instruction.Mnemonic is Mnemonic.Shld or Mnemonic.Shrd && instruction.Op1Register.GetSize() == 2
            && (instruction.Op2Kind == OpKind.Register || (instruction.Immediate8 & 31) > 16);
}
