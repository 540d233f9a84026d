using Hypervisor.Cpu.Decode;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>One row of <see cref="InstructionTable"/>.</summary>
/// <remarks>
/// Lower fills Execute (and what else its function wants) of an operation whose operand fields
/// <see cref="OperandLowering"/> has already filled; it leaves Execute null for a form that does not exist (#UD).
/// </remarks>
internal readonly unsafe struct InstructionRow(
    delegate*<LoweringContext, in Instruction, Operation*, void> lower,
    InstructionTraits traits)
{
    internal readonly delegate*<LoweringContext, in Instruction, Operation*, void> Lower = lower;
    internal readonly InstructionTraits Traits = traits;
}
