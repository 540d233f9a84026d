using System.Numerics;
using Hypervisor.Cpu.Instructions;
using Iced.Intel;

namespace Hypervisor.Cpu.Translation;

/// <summary>Which vector and mask registers an instruction uses and writes: their numbers as bits.</summary>
/// <param name="code">The encoding, which says how much of a vector register that is.</param>
internal struct VectorUse(Code code)
{
    private uint _used;
    private uint _masksUsed;
    private uint _masksWritten;

    /// <summary>It has ZMM or mask registers.</summary>
    internal bool IsWide { get; } = WideTable.Has(code);

    /// <summary>It clears what is above the part of a register that it writes.</summary>
    internal bool IsVex { get; } = WideTable.Has(code) || code.Encoding() == EncodingKind.VEX;

    /// <summary>Vector registers that it writes.</summary>
    internal uint Written { get; private set; }

    /// <summary>The host's registers must have their upper halves cleared after it.</summary>
    internal readonly bool NeedsZeroUpper => IsVex && _used != 0;

    /// <summary>Whether an access may change what is accessed.</summary>
    internal static bool IsWritten(OpAccess access) => access is OpAccess.Write or OpAccess.CondWrite
        or OpAccess.ReadWrite or OpAccess.ReadCondWrite;

    /// <summary>Takes in a register of the instruction, of whatever kind.</summary>
    internal void Add(UsedRegister register)
    {
        bool isWritten = IsWritten(register.Access);
        if (register.Register.IsVectorRegister())
        {
            uint bit = 1u << register.Register.GetNumber();
            _used |= bit;
            Written |= isWritten ? bit : 0;
        }
        else if (register.Register.IsK())
        {
            uint bit = 1u << (register.Register - Register.K0);
            _masksUsed |= bit;
            _masksWritten |= isWritten ? bit : 0;
        }
    }

    /// <summary>Emits the loads of what it uses, from the CpuState that <paramref name="state"/> points to.</summary>
    /// <remarks>Legacy encodings leave what is above bit 127 alone, so it need not be there.</remarks>
    internal readonly void Load(Emitter emitter, int state)
    {
        for (uint left = _used; left != 0; left &= left - 1)
        {
            int register = BitOperations.TrailingZeroCount(left);
            int offset = StateOffset.Vector(register);
            if (IsWide)
            {
                emitter.LoadZmm(register, state, offset);
            }
            else if (IsVex)
            {
                emitter.LoadYmm(register, state, offset);
            }
            else
            {
                emitter.LoadXmm(register, state, offset);
            }
        }

        for (uint left = _masksUsed; left != 0; left &= left - 1)
        {
            int register = BitOperations.TrailingZeroCount(left);
            emitter.LoadMask(register, state, StateOffset.Mask(register));
        }
    }

    /// <summary>Emits the stores of the mask registers that it writes.</summary>
    internal readonly void StoreMasks(Emitter emitter, int state)
    {
        for (uint left = _masksWritten; left != 0; left &= left - 1)
        {
            int register = BitOperations.TrailingZeroCount(left);
            emitter.StoreMask(state, StateOffset.Mask(register), register);
        }
    }
}
