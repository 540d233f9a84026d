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
    // Numbers of the registers, as bits.
    private uint _vectorsUsed;
    private uint _vectorsWritten;
    private bool _isVex;

    private bool TryFindVectors(in Instruction original, InstructionInfo info)
    {
        _vectorsUsed = 0;
        _vectorsWritten = 0;
        if (!_variant.IsSupervisor)
        {
            return true;
        }

        foreach (UsedRegister used in info.GetUsedRegisters())
        {
            if (used.Register.IsVectorRegister())
            {
                uint bit = 1u << used.Register.GetNumber();
                _vectorsUsed |= bit;
                _vectorsWritten |= IsWritten(used.Access) ? bit : 0;
            }
        }

        _isVex = original.Code.Encoding() == EncodingKind.VEX;
        return original.Mnemonic is not (Mnemonic.Vzeroupper or Mnemonic.Stmxcsr or Mnemonic.Vstmxcsr)
            && (InstructionTable.Find(original.Mnemonic).Traits & InstructionTraits.Float) == 0;
    }

    // Legacy encodings leave what is above bit 127 alone, so it need not be there.
    private void LoadVectors()
    {
        for (uint left = _vectorsUsed; left != 0; left &= left - 1)
        {
            int register = BitOperations.TrailingZeroCount(left);
            if (_isVex)
            {
                _code.LoadYmm(register, State, StateOffset.Vector(register));
            }
            else
            {
                _code.LoadXmm(register, State, StateOffset.Vector(register));
            }
        }
    }

    private void StoreVectors()
    {
        for (uint left = _vectorsWritten; left != 0; left &= left - 1)
        {
            int register = BitOperations.TrailingZeroCount(left);
            if (_isVex)
            {
                _code.StoreYmm(State, StateOffset.Vector(register), register);
            }
            else
            {
                _code.StoreXmm(State, StateOffset.Vector(register), register);
            }
        }

        if (_vectorsUsed != 0 && _isVex)
        {
            _code.ZeroUpper();
        }
    }
}
