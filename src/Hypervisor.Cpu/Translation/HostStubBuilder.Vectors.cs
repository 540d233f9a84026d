using System.Numerics;

namespace Hypervisor.Cpu.Translation;

/// <content>Vector and mask registers, to the host's and back.</content>
internal sealed unsafe partial class HostStubBuilder
{
    private const int YmmBytes = 32;
    private const int ZmmBytes = 64;

    private void LoadVectors(Emitter emitter)
    {
        for (uint left = _vectorsUsed; left != 0; left &= left - 1)
        {
            int register = BitOperations.TrailingZeroCount(left);
            int offset = StateOffset.Vector(register);
            if (_isWide)
            {
                emitter.LoadZmm(register, _state, offset);
            }
            else if (_isVex)
            {
                emitter.LoadYmm(register, _state, offset);
            }
            else
            {
                emitter.LoadXmm(register, _state, offset);
            }
        }

        for (uint left = _masksUsed; left != 0; left &= left - 1)
        {
            int register = BitOperations.TrailingZeroCount(left);
            emitter.LoadMask(register, _state, StateOffset.Mask(register));
        }
    }

    // Legacy SSE leaves the register above bit 127 as it was; VEX clears it to its very end.
    private void StoreVectors(Emitter emitter)
    {
        for (uint left = _vectorsWritten; left != 0; left &= left - 1)
        {
            int register = BitOperations.TrailingZeroCount(left);
            int offset = StateOffset.Vector(register);
            if (_isWide)
            {
                emitter.StoreZmm(_state, offset, register);
            }
            else if (_isVex)
            {
                emitter.StoreYmm(_state, offset, register);
                for (int upper = YmmBytes; upper < ZmmBytes; upper += sizeof(ulong))
                {
                    emitter.StoreImmediate64(_state, offset + upper, 0);
                }
            }
            else
            {
                emitter.StoreXmm(_state, offset, register);
            }
        }

        for (uint left = _masksWritten; left != 0; left &= left - 1)
        {
            int register = BitOperations.TrailingZeroCount(left);
            emitter.StoreMask(_state, StateOffset.Mask(register), register);
        }
    }
}
