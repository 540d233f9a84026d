using System.Numerics;
using System.Runtime.CompilerServices;
using Hypervisor.Core.State;

namespace Hypervisor.Cpu.Interrupts;

/// <summary>256 bits, one per interrupt vector: IRR, ISR, TMR.</summary>
internal struct VectorSet
{
    private Words _words;

    internal readonly bool this[int vector] => (_words[vector >> 6] & (1ul << (vector & 63))) != 0;

    /// <summary>The highest vector, -1 when there is none.</summary>
    internal readonly int Highest
    {
        get
        {
            for (int i = 3; i >= 0; i--)
            {
                if (_words[i] != 0)
                {
                    return (i * 64) + BitOperations.Log2(_words[i]);
                }
            }

            return -1;
        }
    }

    internal void Set(int vector) => _words[vector >> 6] |= 1ul << (vector & 63);

    internal void Clear(int vector) => _words[vector >> 6] &= ~(1ul << (vector & 63));

    /// <summary>32 vectors as one register shows them.</summary>
    internal readonly uint Read(int register) => (uint)(_words[register >> 1] >> ((register & 1) * 32));

    internal void Transfer(ref StateCodec state)
    {
        for (int i = 0; i < 4; i++)
        {
            state.U64(ref _words[i]);
        }
    }

    [InlineArray(4)]
    private struct Words
    {
        private ulong _first;
    }
}
