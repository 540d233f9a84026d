using System.Numerics;
using System.Runtime.CompilerServices;
using Hypervisor.Core.State;

namespace Hypervisor.Cpu.Interrupts;

/// <summary>256 bits, one per interrupt vector: IRR, ISR, TMR.</summary>
internal struct VectorSet : System.IEquatable<VectorSet>
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

    /// <inheritdoc/>
    public readonly bool Equals(VectorSet other)
        => _words[0] == other._words[0] && _words[1] == other._words[1] && _words[2] == other._words[2]
            && _words[3] == other._words[3];

    /// <inheritdoc/>
    public override readonly bool Equals(object? obj) => obj is VectorSet other && Equals(other);

    /// <inheritdoc/>
    public override readonly int GetHashCode()
        => System.HashCode.Combine(_words[0], _words[1], _words[2], _words[3]);

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
