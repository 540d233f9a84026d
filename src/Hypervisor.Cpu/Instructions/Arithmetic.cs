using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>ADD and its relatives. Spec: Intel SDM volume 2; flags: volume 1, section 3.4.3.1.</summary>
internal static unsafe class Arithmetic
{
    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Nop, InstructionTraits.CopyToHost, &Nop.Lower);
    }
}
