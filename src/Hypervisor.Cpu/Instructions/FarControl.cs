using Hypervisor.Cpu.Decode;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>Far JMP and CALL.</summary>
internal static unsafe class FarControl
{
    /// <summary>Lowers a far JMP.</summary>
    internal static void LowerJump(LoweringContext context, in Instruction instruction, Operation* op)
    {
        _ = (context, instruction.Code);
        op->Execute = null;
    }

    /// <summary>Lowers a far CALL.</summary>
    internal static void LowerCall(LoweringContext context, in Instruction instruction, Operation* op)
    {
        _ = (context, instruction.Code);
        op->Execute = null;
    }
}
