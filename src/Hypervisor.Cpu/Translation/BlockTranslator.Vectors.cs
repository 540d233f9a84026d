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
    private uint _masksUsed;
    private uint _masksWritten;
    private bool _isVex;
    private bool _isWide;

    private bool TryFindVectors(in Instruction original, InstructionInfo info)
    {
        (_vectorsUsed, _vectorsWritten, _masksUsed, _masksWritten) = (0, 0, 0, 0);
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
            else if (used.Register.IsK())
            {
                uint bit = 1u << (used.Register - Register.K0);
                _masksUsed |= bit;
                _masksWritten |= IsWritten(used.Access) ? bit : 0;
            }
        }

        _isWide = WideTable.Has(original.Code);
        _isVex = original.Code.Encoding() == EncodingKind.VEX;
        return original.Mnemonic is not (Mnemonic.Vzeroupper or Mnemonic.Stmxcsr or Mnemonic.Vstmxcsr)
            && (InstructionTable.Find(original.Code).Traits & InstructionTraits.Float) == 0;
    }

    // Legacy encodings leave what is above bit 127 alone, so it need not be there.
    private void LoadVectors()
    {
        for (uint left = _vectorsUsed; left != 0; left &= left - 1)
        {
            int register = BitOperations.TrailingZeroCount(left);
            int offset = StateOffset.Vector(register);
            if (_isWide)
            {
                _code.LoadZmm(register, State, offset);
            }
            else if (_isVex)
            {
                _code.LoadYmm(register, State, offset);
            }
            else
            {
                _code.LoadXmm(register, State, offset);
            }
        }

        for (uint left = _masksUsed; left != 0; left &= left - 1)
        {
            int register = BitOperations.TrailingZeroCount(left);
            _code.LoadMask(register, State, StateOffset.Mask(register));
        }
    }

    // VEX clears the register to its very end, which only guests with ZMM registers can tell.
    private void StoreVectors()
    {
        for (uint left = _vectorsWritten; left != 0; left &= left - 1)
        {
            int register = BitOperations.TrailingZeroCount(left);
            int offset = StateOffset.Vector(register);
            if (_isWide || (_isVex && HasWideRegisters))
            {
                _code.StoreZmm(State, offset, register);
            }
            else if (_isVex)
            {
                _code.StoreYmm(State, offset, register);
            }
            else
            {
                _code.StoreXmm(State, offset, register);
            }
        }

        for (uint left = _masksWritten; left != 0; left &= left - 1)
        {
            int register = BitOperations.TrailingZeroCount(left);
            _code.StoreMask(State, StateOffset.Mask(register), register);
        }

        if (_vectorsUsed != 0 && (_isVex || _isWide))
        {
            _code.ZeroUpper();
        }
    }
}
