using Hypervisor.Cpu.Decode;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>Instructions that do nothing a guest can see.</summary>
internal static unsafe class Nop
{
    internal static void Lower(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = &Execute;

    private static Outcome Execute(Vcpu vcpu, Operation* op) => Outcome.Next;
}
