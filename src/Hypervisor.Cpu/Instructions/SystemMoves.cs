using Hypervisor.Cpu.Decode;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>MOV to and from segment, control and debug registers.</summary>
internal static unsafe class SystemMoves
{
    /// <summary>Lowers a MOV with an operand that is no general register.</summary>
    internal static void Lower(LoweringContext context, in Instruction instruction, Operation* op)
    {
        _ = (context, instruction.Code);
        op->Execute = null;
    }
}
