using System;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>BMI1, BMI2, ADX, LZCNT, TZCNT, POPCNT, MOVBE, run as the host.</summary>
internal static unsafe class HostInteger
{
    // General registers and flags only.
    private static ReadOnlySpan<Mnemonic> Plain =>
    [
        Mnemonic.Adcx, Mnemonic.Adox, Mnemonic.Andn, Mnemonic.Bextr, Mnemonic.Blsi, Mnemonic.Blsmsk, Mnemonic.Blsr,
        Mnemonic.Bzhi, Mnemonic.Lzcnt, Mnemonic.Movbe, Mnemonic.Mulx, Mnemonic.Pdep, Mnemonic.Pext, Mnemonic.Popcnt,
        Mnemonic.Rorx, Mnemonic.Sarx, Mnemonic.Shlx, Mnemonic.Shrx, Mnemonic.Tzcnt,
    ];

    internal static void Define(TableBuilder table)
    {
        foreach (Mnemonic mnemonic in Plain)
        {
            table.Define(mnemonic, InstructionTraits.CopyToHost, &HostInstructions.Lower);
        }
    }
}
