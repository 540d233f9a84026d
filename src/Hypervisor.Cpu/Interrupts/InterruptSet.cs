using System.Numerics;
using Hypervisor.Core.State;

namespace Hypervisor.Cpu.Interrupts;

/// <summary>One bit per vector: IRR, ISR or TMR of a local APIC. Spec: SDM volume 3, 11.8.4.</summary>
internal sealed class InterruptSet
{
    private readonly uint[] _words = new uint[8];

    /// <summary>The highest vector in the set, -1 when it is empty.</summary>
    internal int Highest
    {
        get
        {
            for (int i = _words.Length - 1; i >= 0; i--)
            {
                if (_words[i] != 0)
                {
                    return (i * 32) + 31 - BitOperations.LeadingZeroCount(_words[i]);
                }
            }

            return -1;
        }
    }

    /// <summary>32 vectors as the register shows them.</summary>
    internal uint Word(int index) => _words[index];

    internal bool Has(int vector) => (_words[vector >> 5] & (1u << (vector & 31))) != 0;

    internal void Set(int vector, bool value)
    {
        uint bit = 1u << (vector & 31);
        _words[vector >> 5] = value ? _words[vector >> 5] | bit : _words[vector >> 5] & ~bit;
    }

    internal void Clear() => System.Array.Clear(_words);

    internal void Transfer(ref StateCodec state)
    {
        for (int i = 0; i < _words.Length; i++)
        {
            state.U32(ref _words[i]);
        }
    }
}
