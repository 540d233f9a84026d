using Hypervisor.Cpu.Decode;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>PUSH and POP of segment registers.</summary>
internal static unsafe class SegmentStack
{
    /// <summary>Lowers PUSH Sreg.</summary>
    internal static void LowerPush(LoweringContext context, in Instruction instruction, Operation* op)
    {
        _ = (context, instruction.Code);
        op->Execute = null;
    }

    /// <summary>Lowers POP Sreg.</summary>
    internal static void LowerPop(LoweringContext context, in Instruction instruction, Operation* op)
    {
        _ = (context, instruction.Code);
        op->Execute = null;
    }
}
