using System.Numerics;
using Hypervisor.Cpu.Instructions;
using Iced.Intel;

namespace Hypervisor.Cpu.Translation;

/// <content>Vector instructions of supervisor mode.</content>
/// <remarks>
/// There the registers stay in the state, because a kernel seldom uses them: each instruction takes those that it
/// needs into the host's and puts back what it changed. MXCSR is the host's, so nothing that reads it runs this way.
/// </remarks>
internal sealed unsafe partial class BlockTranslator
{
    private VectorUse _vectors;

    private bool TryFindVectors(in Instruction original, InstructionInfo info)
    {
        _vectors = default;
        if (!_variant.IsSupervisor)
        {
            return true;
        }

        _vectors = new VectorUse(original.Code);
        foreach (UsedRegister used in info.GetUsedRegisters())
        {
            _vectors.Add(used);
        }

        return original.Mnemonic is not (Mnemonic.Vzeroupper or Mnemonic.Stmxcsr or Mnemonic.Vstmxcsr)
            && (InstructionTable.Find(original.Code).Traits & InstructionTraits.Float) == 0;
    }

    // VEX clears the register to its very end, which only guests with ZMM registers can tell.
    private void StoreVectors()
    {
        for (uint left = _vectors.Written; left != 0; left &= left - 1)
        {
            int register = BitOperations.TrailingZeroCount(left);
            int offset = StateOffset.Vector(register);
            if (_vectors.IsWide || (_vectors.IsVex && HasWideRegisters))
            {
                _code.StoreZmm(State, offset, register);
            }
            else if (_vectors.IsVex)
            {
                _code.StoreYmm(State, offset, register);
            }
            else
            {
                _code.StoreXmm(State, offset, register);
            }
        }

        _vectors.StoreMasks(_code, State);
        if (_vectors.NeedsZeroUpper)
        {
            _code.ZeroUpper();
        }
    }
}
