using System.Numerics;

namespace Hypervisor.Cpu.Translation;

/// <content>Vector and mask registers, to the host's and back.</content>
internal sealed unsafe partial class HostStubBuilder
{
    private const int YmmBytes = 32;
    private const int ZmmBytes = 64;

    // Legacy SSE leaves the register above bit 127 as it was; VEX clears it to its very end.
    private void StoreVectors(Emitter emitter)
    {
        for (uint left = _vectors.Written; left != 0; left &= left - 1)
        {
            int register = BitOperations.TrailingZeroCount(left);
            int offset = StateOffset.Vector(register);
            if (_vectors.IsWide)
            {
                emitter.StoreZmm(_state, offset, register);
            }
            else if (_vectors.IsVex)
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

        _vectors.StoreMasks(emitter, _state);
    }
}
